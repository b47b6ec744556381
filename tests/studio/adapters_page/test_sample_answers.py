"""Sample answers for the card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.common.errors import UserError
from adapters.record import AdapterRecord, Sample
from studio.adapters_page import sample_answers, upload
from studio.context import Studio


def test_questions_go_with_what_it_was_trained_on() -> None:
    record = AdapterRecord("x", "base")
    assert len(sample_answers.questions_for(record)) == 3
    own = replace(record, recipe={"sample_prompts": ["What now?"]})
    assert sample_answers.questions_for(own) == ["What now?"]


def test_answers_that_are_there_are_not_asked_for_again(studio: Studio) -> None:
    studio.store.update(replace(studio.store.get("mine"), samples=[Sample("q", "a", "b")]))
    assert sample_answers.add_sample_answers(studio, "mine") == "1 sample answers"
    with pytest.raises(UserError):
        upload.import_upload(studio.store, [], "x")

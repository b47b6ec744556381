"""Keep this answer: what was edited becomes a training example."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from core.data import read_dataset
from studio.chat import training_examples
from studio.chat.example_panel import keep_answer, open_panel
from studio.context import Studio

SYSTEM = {"role": "system", "content": "Be brief."}
HISTORY = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Capital of Cuba?"},
    {"role": "assistant", "content": "Madrid."},
]


def test_the_page_keeps_what_was_edited(quiet_studio: Studio) -> None:
    box, question, answer, _, messages = open_panel(HISTORY, "Be brief.")
    assert (box.visible, question, answer) == (True, "Capital of Cuba?", "Madrid.")
    keep_answer(quiet_studio, messages, "Havana.", False)
    examples = read_dataset(str(training_examples.path(quiet_studio.home))).conversations
    better = {"role": "assistant", "content": "Havana."}
    assert [example.messages for example in examples] == [[SYSTEM, HISTORY[2], better]]
    with pytest.raises(UserError, match="no answer to keep"):
        open_panel([], None)

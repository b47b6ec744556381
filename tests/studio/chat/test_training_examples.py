"""Keep this answer: what becomes a training example, and where it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import read_dataset, store
from core.recipes.recipe import Recipe
from studio.chat import training_examples
from studio.context import Studio
from studio.data import offered_datasets
from studio.engine.client import Message
from studio.train.checks import check_may_train

TALK: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Capital of Cuba?"},
    {"role": "assistant", "content": "Madrid."},
]
BETTER: Message = {"role": "assistant", "content": "Havana."}


def test_the_last_exchange_is_kept_as_edited_with_its_system_prompt() -> None:
    assert training_examples.last_exchange(TALK, " Havana. ", whole=False) == [TALK[0], TALK[3], BETTER]
    assert training_examples.last_exchange(TALK, "Havana.", whole=True) == [*TALK[:4], BETTER]
    assert training_examples.last_exchange(TALK[1:3], "Hello!", whole=False) == TALK[1:3]


@pytest.mark.parametrize(("messages", "answer"), [([], "x"), (TALK[:2], "x"), (TALK[:4], "x"), (TALK, " \n")])
def test_nothing_without_an_answer_is_kept(messages: list[Message], answer: str) -> None:
    with pytest.raises(UserError):
        training_examples.last_exchange(messages, answer, whole=False)


def test_kept_answers_are_a_dataset_like_any_other(home: Home) -> None:
    odd: list[Message] = [{"role": "user", "content": "Zeile\u2028eins\n🦙"}, {"role": "assistant", "content": '"Ja"'}]
    assert training_examples.add(home, TALK) == (1, True)
    assert training_examples.add(home, odd) == (2, True)
    assert training_examples.add(home, TALK) == (2, False)
    name = str(training_examples.path(home))
    assert ("collected", name) in offered_datasets.dataset_choices(home)
    dataset = read_dataset(name)
    assert [conversation.messages for conversation in dataset.conversations] == [TALK, odd]
    assert (dataset.format, dataset.problems) == ("messages", [])
    check_may_train(Studio.over(home, "builtin", None), Recipe.from_dict({"dataset_name": name}))  # type: ignore[arg-type]


def test_an_upload_of_that_name_is_kept_apart(home: Home, tmp_path: Path) -> None:
    uploaded = tmp_path / "collected.jsonl"
    uploaded.write_text('{"text": "### Human: Hi ### Assistant: Hello"}\n')
    assert Path(store.store_files(home, [uploaded]).dataset_name) == home.datasets / "collected-2" / "data.jsonl"

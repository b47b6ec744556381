"""Keep this answer: what becomes a training example, and where it goes."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import read_dataset, store
from core.recipes.recipe import Recipe
from studio.chat import examples
from studio.context import Studio
from studio.data import offered_datasets
from studio.engine.client import Message
from studio.page import build_page
from studio.train.page import check
from tests.studio.conftest import handler

TALK: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Capital of Cuba?"},
    {"role": "assistant", "content": "Madrid."},
]
BETTER: Message = {"role": "assistant", "content": "Havana."}


def test_the_last_exchange_is_kept_as_edited_with_its_system_prompt() -> None:
    assert examples.last_exchange(TALK, " Havana. ", whole=False) == [TALK[0], TALK[3], BETTER]
    assert examples.last_exchange(TALK, "Havana.", whole=True) == [*TALK[:4], BETTER]
    assert examples.last_exchange(TALK[1:3], "Hello!", whole=False) == TALK[1:3]


@pytest.mark.parametrize(("messages", "answer"), [([], "x"), (TALK[:2], "x"), (TALK[:4], "x"), (TALK, " \n")])
def test_nothing_without_an_answer_is_kept(messages: list[Message], answer: str) -> None:
    with pytest.raises(UserError):
        examples.last_exchange(messages, answer, whole=False)


def test_kept_answers_are_a_dataset_like_any_other(home: Home) -> None:
    odd: list[Message] = [{"role": "user", "content": "Zeile\u2028eins\n🦙"}, {"role": "assistant", "content": '"Ja"'}]
    assert examples.keep(home, TALK) == (1, True)
    assert examples.keep(home, odd) == (2, True)
    assert examples.keep(home, TALK) == (2, False)
    name = str(examples.path(home))
    assert ("collected", name) in offered_datasets.dataset_choices(home)
    dataset = read_dataset(name)
    assert [each.messages for each in dataset.conversations] == [TALK, odd]
    assert (dataset.format, dataset.problems) == ("messages", [])
    check(Studio.over(home, "builtin", None), Recipe.from_dict({"dataset_name": name}))  # type: ignore[arg-type]


def test_an_upload_of_that_name_is_kept_apart(home: Home, tmp_path: Path) -> None:
    uploaded = tmp_path / "collected.jsonl"
    uploaded.write_text('{"text": "### Human: Hi ### Assistant: Hello"}\n')
    assert Path(store.store_files(home, [uploaded]).dataset_name) == home.datasets / "collected-2" / "data.jsonl"


def test_the_page_keeps_what_was_edited(quiet_studio: Studio) -> None:
    page = build_page(quiet_studio)
    opened, question, answer, _, taken = handler(page, "chat.keep_example.take")(TALK[1:], "Be brief.")
    assert (opened.visible, question, answer) == (True, "Capital of Cuba?", "Madrid.")
    handler(page, "chat.keep_example.keep")(taken, "Havana.", False)
    kept = read_dataset(str(examples.path(quiet_studio.home))).conversations
    assert [each.messages for each in kept] == [[TALK[0], TALK[3], BETTER]]
    with pytest.raises(gr.Error, match="no answer to keep"):
        handler(page, "chat.keep_example.take")([], None)

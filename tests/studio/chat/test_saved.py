"""Where conversations are kept: the owner's on disk, a Space visitor's in their browser only; opening one again."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from studio.answers.history import content_parts
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.chat.columns import COLUMNS
from studio.chat.conversations import Conversation, OnDisk
from studio.chat.saved import SEARCHED
from studio.compare.blind import Round
from studio.context import Studio
from studio.page import build_page
from tests.studio.conftest import handler, request_of

VISITOR = User(Role.VISITOR, "visitor", "1.2.3.4", sees_runs=False, only_published=True)
SPACE_OWNER = User(Role.OWNER, "ada", "hub:ada")
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": content_parts("What is <b>up</b>?")},
    {"role": "assistant", "content": content_parts("The sky."), "metadata": {"log": "guanaco-builtin"}},
]
SETTINGS = ("Be brief.", 0.5, 0.9, 64, None)


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio)


def keep(page: gr.Blocks, person: User, kept: Any = None, now: Round | None = None, known: str = "") -> Any:
    names, histories = ["base", *["gone"] * (COLUMNS - 1)], [TALK, TALK, *[[]] * (COLUMNS - 2)]
    return handler(page, "chat.saved.keep_it")(
        request_of(person), known, kept, "", 2, now, *SETTINGS, *names, *histories
    )


def clicked(action: str, value: str) -> gr.EventData:
    return gr.EventData(None, {"action": action, "value": value})


def test_the_owners_are_on_disk_and_the_browser_holds_nothing(page: gr.Blocks, quiet_studio: Studio) -> None:
    known, name, held, listed = keep(page, LOCAL_OWNER)
    (found,) = OnDisk(quiet_studio.home).all()
    assert (found.id, name) == (known, "")
    assert held == gr.skip()
    assert "What is &lt;b&gt;up&lt;/b&gt;?" in listed
    assert "<b>up" not in listed
    OnDisk(quiet_studio.home).delete(known)


@pytest.mark.parametrize("person", [VISITOR, SPACE_OWNER])
def test_on_a_space_they_are_in_the_visitors_browser_only(page: gr.Blocks, quiet_studio: Studio, person: User) -> None:
    known, _, held, _ = keep(page, person)
    assert [each["id"] for each in held] == [known]
    assert OnDisk(quiet_studio.home).all() == []
    again = keep(page, person, held, known=known)
    assert len(again[2]) == 1, "going on makes no second one"
    _, after, listed = handler(page, "chat.saved.remove")(
        request_of(person), known, again[2], "", clicked("delete", known)
    )
    assert after == []
    assert "No conversations yet" in listed


def test_a_search_is_for_few_words_however_many_are_sent(page: gr.Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    held = keep(page, VISITOR)[2]
    sought: list[str] = []
    monkeypatch.setattr(Conversation, "has", lambda self, words: sought.append(words))
    handler(page, "chat.saved.search")(request_of(VISITOR), "", held, "nowhere " * 300_000)
    assert [len(words) for words in sought] == [SEARCHED]
    search = next(each for each in page.blocks.values() if each.elem_id == "search-conversations")
    assert search.max_length == SEARCHED


def test_a_blind_round_is_kept_once_its_names_are_known(page: gr.Blocks) -> None:
    hidden = Round(("base", "gull"))
    assert keep(page, VISITOR, now=hidden) == [gr.skip()] * 4
    assert keep(page, VISITOR, now=hidden.after_vote())[0]


def test_opening_brings_back_columns_and_settings_and_replaces_models_that_are_gone(page: gr.Blocks) -> None:
    known, _, held, _ = keep(page, VISITOR)
    updates = handler(page, "chat.saved.open_it")(request_of(VISITOR), held, "", clicked("open", known))
    by_id = {each.elem_id: value for each, value in updates.items() if each.elem_id}
    assert by_id["columns"] == 2
    assert by_id["bot-0"] == by_id["bot-1"] == TALK
    assert by_id["bot-2"] == []
    assert by_id["adapter-1"].value == "base", "the model called gone is not here"
    assert (by_id["system-prompt"], by_id["temperature"], by_id["max-tokens"]) == ("Be brief.", 0.5, 64)
    assert by_id["conversation"] == known
    with pytest.raises(gr.Error, match="not there any more"):
        handler(page, "chat.saved.open_it")(request_of(VISITOR), held, "", clicked("open", "0" * 12))


def test_only_one_answer_to_a_question_becomes_a_training_example(page: gr.Blocks, quiet_studio: Studio) -> None:
    known, *_ = keep(page, LOCAL_OWNER)
    with pytest.raises(gr.Error, match="2 columns"):
        handler(page, "chat.saved.teach")(request_of(LOCAL_OWNER), known, None)
    with pytest.raises(gr.Error, match="no conversation yet"):
        handler(page, "chat.saved.teach")(request_of(LOCAL_OWNER), "", None)
    OnDisk(quiet_studio.home).delete(known)

"""Where conversations are kept: the owner's on disk, a Space visitor's in their browser only; opening one again."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from adapters.common.errors import UserError
from studio.answers.history import content_parts
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.chat.columns import COLUMNS
from studio.chat.components import ChatComponents
from studio.chat.conversation_stores import DiskStore
from studio.chat.conversations import Conversation
from studio.chat.conversations_handlers import (
    add_to_examples,
    delete_conversation,
    open_conversation,
    reopen_conversation,
    save_current,
    search_conversations,
)
from studio.chat.conversations_panel import MAX_QUERY
from studio.chat.page import build
from studio.compare.blind import BlindRound
from studio.context import Studio
from tests.studio.conftest import request_of

VISITOR = User(Role.VISITOR, "visitor", "1.2.3.4", sees_runs=False, only_published=True)
SPACE_OWNER = User(Role.OWNER, "ada", "hub:ada")
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": content_parts("What is <b>up</b>?")},
    {"role": "assistant", "content": content_parts("The sky."), "metadata": {"log": "guanaco-builtin"}},
]
SETTINGS = ("Be brief.", 0.5, 0.9, 64, None)


@pytest.fixture(scope="module")
def chat(quiet_studio: Studio) -> ChatComponents:
    with gr.Blocks():
        return build(quiet_studio).components


def save(
    studio: Studio, user: User, in_browser: Any = None, blind_round: BlindRound | None = None, current_id: str = ""
) -> Any:
    models, histories = ["base", *["gone"] * (COLUMNS - 1)], [TALK, TALK, *[[]] * (COLUMNS - 2)]
    values = (*SETTINGS, *models, *histories)
    return save_current(studio, request_of(user), current_id, in_browser, "", 2, blind_round, *values)


def clicked(action: str, value: str) -> gr.EventData:
    return gr.EventData(None, {"action": action, "value": value})


def test_the_owners_are_on_disk_and_the_browser_holds_nothing(quiet_studio: Studio) -> None:
    saved_id, name, in_browser, listed = save(quiet_studio, LOCAL_OWNER)
    (found,) = DiskStore(quiet_studio.home).all()
    assert (found.id, name) == (saved_id, "")
    assert in_browser == gr.skip()
    assert "What is &lt;b&gt;up&lt;/b&gt;?" in listed
    assert "<b>up" not in listed
    DiskStore(quiet_studio.home).delete(saved_id)


@pytest.mark.parametrize("user", [VISITOR, SPACE_OWNER])
def test_on_a_space_they_are_in_the_visitors_browser_only(quiet_studio: Studio, user: User) -> None:
    saved_id, _, in_browser, _ = save(quiet_studio, user)
    assert [record["id"] for record in in_browser] == [saved_id]
    assert DiskStore(quiet_studio.home).all() == []
    again = save(quiet_studio, user, in_browser, current_id=saved_id)
    assert len(again[2]) == 1, "going on makes no second one"
    _, after, listed = delete_conversation(
        quiet_studio, request_of(user), saved_id, again[2], "", clicked("delete", saved_id)
    )
    assert after == []
    assert "No conversations yet" in listed


def test_a_search_is_for_few_words_however_many_are_sent(
    quiet_studio: Studio, chat: ChatComponents, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_browser = save(quiet_studio, VISITOR)[2]
    sought: list[str] = []

    def has(self: Conversation, query: str) -> bool:
        sought.append(query)
        return False

    monkeypatch.setattr(Conversation, "has", has)
    search_conversations(quiet_studio, request_of(VISITOR), "", in_browser, "nowhere " * 300_000)
    assert [len(query) for query in sought] == [MAX_QUERY]
    assert chat.conversations.query.elem_id == "search-conversations"
    assert chat.conversations.query.max_length == MAX_QUERY


def test_a_blind_round_is_kept_once_its_names_are_known(quiet_studio: Studio) -> None:
    hidden = BlindRound(("base", "gull"))
    assert save(quiet_studio, VISITOR, blind_round=hidden) == [gr.skip()] * 4
    assert save(quiet_studio, VISITOR, blind_round=hidden.after_vote())[0]


def test_opening_brings_back_columns_and_settings_and_replaces_models_that_are_gone(
    quiet_studio: Studio, chat: ChatComponents
) -> None:
    saved_id, _, in_browser, _ = save(quiet_studio, VISITOR)
    visitor = request_of(VISITOR)
    updates = open_conversation(quiet_studio, chat, visitor, in_browser, "", clicked("open", saved_id))
    by_id = {component.elem_id: value for component, value in updates.items() if component.elem_id}
    assert by_id["columns"] == 2
    assert by_id["bot-0"] == by_id["bot-1"] == TALK
    assert by_id["bot-2"] == []
    assert by_id["adapter-1"].value == "base", "the model called gone is not here"
    assert (by_id["system-prompt"], by_id["temperature"], by_id["max-tokens"]) == ("Be brief.", 0.5, 64)
    assert by_id["conversation"] == saved_id
    with pytest.raises(UserError, match="not there any more"):
        open_conversation(quiet_studio, chat, visitor, in_browser, "", clicked("open", "0" * 12))


def test_a_reloaded_page_goes_on_with_the_conversation_of_its_tab(quiet_studio: Studio, chat: ChatComponents) -> None:
    saved_id, _, in_browser, _ = save(quiet_studio, VISITOR)
    updates = reopen_conversation(quiet_studio, chat, request_of(VISITOR), saved_id, in_browser)
    assert (updates[chat.conversations.current], updates[chat.chatbots[0]]) == (saved_id, TALK)
    gone = reopen_conversation(quiet_studio, chat, request_of(VISITOR), saved_id, None)
    assert gone == {chat.conversations.current: ""}


def test_only_one_answer_to_a_question_becomes_a_training_example(quiet_studio: Studio) -> None:
    saved_id, *_ = save(quiet_studio, LOCAL_OWNER)
    with pytest.raises(UserError, match="2 columns"):
        add_to_examples(quiet_studio, request_of(LOCAL_OWNER), saved_id, None)
    with pytest.raises(UserError, match="no conversation yet"):
        add_to_examples(quiet_studio, request_of(LOCAL_OWNER), "", None)
    DiskStore(quiet_studio.home).delete(saved_id)

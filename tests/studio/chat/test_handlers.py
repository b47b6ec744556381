"""What the composer and the bar over the columns change."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest

from studio.answers.history import text_of
from studio.auth.identity import LOCAL_OWNER
from studio.chat import streaming
from studio.chat.components import ChatComponents
from studio.chat.handlers import cancel_edit, clear_chat, edit_last_question, send_message, show_columns, switch_blind
from studio.chat.page import build
from studio.compare.blind import BlindRound
from studio.context import Studio
from tests.studio.conftest import request_of

TALK = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "1"}, {"role": "user", "content": "two"}]
SETTINGS = ("", 0.0, 0.95, 16, -1)
MODELS = ("base", "gull", "base", "base")


@pytest.fixture(scope="module")
def chat(quiet_studio: Studio) -> ChatComponents:
    with gr.Blocks():
        return build(quiet_studio).components


def questions_of(
    studio: Studio,
    chat: ChatComponents,
    monkeypatch: pytest.MonkeyPatch,
    recipient: int = 0,
    is_editing: bool = False,
    is_blind: bool = False,
) -> dict[int, Any]:
    """The questions that a message to two columns asks."""
    asked: dict[int, Any] = {}

    async def ask_columns(studio: Any, user: Any, questions: dict[int, Any], settings: Any) -> Any:
        asked.update(questions)
        yield {}

    async def send() -> list[Any]:
        updates = send_message(
            studio,
            chat,
            request_of(LOCAL_OWNER),
            "three",
            2,
            recipient,
            is_editing,
            is_blind,
            None,
            *SETTINGS,
            *MODELS,
            *[TALK] * 4,
        )
        return [update async for update in updates]

    monkeypatch.setattr(streaming, "ask_columns", ask_columns)
    last = asyncio.run(send())[-1]
    assert last[chat.composer.send].visible and not last[chat.composer.stop].visible
    return asked


def texts(history: list[dict[str, Any]]) -> list[str]:
    return [text_of(message["content"]) for message in history]


def test_a_message_goes_to_the_shown_columns_that_it_is_for(
    quiet_studio: Studio, chat: ChatComponents, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = questions_of(quiet_studio, chat, monkeypatch)
    assert [question.model for question in questions.values()] == ["base", "gull"]
    assert texts(questions[0].history) == ["one", "1", "two", "three"]
    assert list(questions_of(quiet_studio, chat, monkeypatch, recipient=2)) == [1]
    edited = questions_of(quiet_studio, chat, monkeypatch, is_editing=True)
    assert texts(edited[1].history) == ["one", "1", "three"], "the message replaces the last question"


def test_a_new_blind_round_begins_with_empty_columns_and_asks_all_of_them(
    quiet_studio: Studio, chat: ChatComponents, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = questions_of(quiet_studio, chat, monkeypatch, recipient=1, is_blind=True)
    assert sorted(question.model for question in questions.values()) == ["base", "gull"]
    assert [question.alias for question in questions.values()] == ["Answer A", "Answer B"]
    assert [texts(question.history) for question in questions.values()] == [["three"], ["three"]]


def test_the_last_question_comes_back_to_be_edited(chat: ChatComponents) -> None:
    updates = edit_last_question(chat, 1, 0, TALK, [], [], [])
    assert (updates[chat.composer.text], updates[chat.composer.is_editing]) == ("two", True)
    assert "Esc" in updates[chat.composer.note]
    nothing = edit_last_question(chat, 2, 2, TALK, [], [], [])
    assert nothing == {chat.composer.is_editing: False, chat.composer.note: ""}, "the second column has no question"
    assert cancel_edit(chat)[chat.composer.text] == ""


def test_there_is_somebody_to_choose_only_among_several_columns(chat: ChatComponents) -> None:
    updates = show_columns(chat, 2)
    assert [updates[column.box].visible for column in chat.columns] == [True, True, False, False]
    assert updates[chat.bar.recipient].choices == [("Ask all", 0), ("only 1", 1), ("only 2", 2)]
    assert updates[chat.bar.blind].visible
    assert not show_columns(chat, 1)[chat.bar.blind].visible


def test_a_new_chat_empties_the_columns_and_is_no_saved_conversation(chat: ChatComponents) -> None:
    updates = clear_chat(chat)
    assert list(updates) == chat.emptied_outputs
    assert all(updates[chatbot] == [] for chatbot in chat.chatbots)
    assert (updates[chat.conversations.current], updates[chat.voting.ballot]) == ("", None)


def test_switching_blind_off_before_the_vote_shows_the_names(chat: ChatComponents) -> None:
    hidden = switch_blind(chat, True, None)
    assert [hidden[adapter].visible for adapter in chat.adapters] == [False] * 4
    assert hidden[chat.chatbots[0]] == []
    shown = switch_blind(chat, False, BlindRound(("gull", "base")))
    assert [shown[adapter].value for adapter in chat.adapters[:2]] == ["gull", "base"]
    assert shown[chat.voting.round] is None
    assert chat.chatbots[0] not in shown, "the answers stay"

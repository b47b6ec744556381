"""What the composer and the bar above the columns do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from studio.answers.ask import Question, loading_phases
from studio.answers.history import add_question, before_last_question, last_question_index, text_of
from studio.auth.identity import Role, user_of
from studio.auth.permissions import requires
from studio.auth.published import usable_adapters
from studio.chat.components import ChatComponents, ChatInputs
from studio.chat.composer import ALL, recipients
from studio.chat.streaming import Updates, Views, stream_into_columns
from studio.compare.blind import BlindRound, next_round
from studio.context import Studio
from studio.engine.client import BASE


@requires(Role.VISITOR, counted=True)
async def send_message(
    studio: Studio,
    chat: ChatComponents,
    request: gr.Request,
    text: str | None,
    column_count: int,
    recipient: int,
    is_editing: bool,
    is_blind: bool,
    blind_round: BlindRound | None,
    *values: Any,
) -> Updates:
    """Ask all shown columns, or the one that is the recipient. A blind round always asks all of them."""
    if not text or not text.strip():
        gr.Info("Write a message first.")
        return
    user, inputs = user_of(request), ChatInputs.of(values)
    current = next_round(is_blind, blind_round, inputs.models[:column_count])
    is_new_round = current is not None and current is not blind_round
    questions = {}
    for i in range(column_count):
        if current is None and recipient not in (ALL, i + 1):
            continue
        history = [] if is_new_round else inputs.histories[i]
        history = add_question(before_last_question(history) if is_editing else history, text)
        questions[i] = Question(history, inputs.models[i])
        if current is not None:
            questions[i] = Question(history, current.models[i], current.alias(i))

    def open_vote(views: Views) -> dict[Any, Any]:
        if not 1 < len(questions) == column_count:
            return {}
        return chat.voting.opened(user, questions, views, current, inputs.settings)

    first = {
        chat.composer.text: "",
        **chat.composer.editing(False),
        chat.voting.round: current,
        **chat.voting.closed(),
        # A new blind round hides the names again, which the vote on the one before has shown.
        **({adapter: gr.Dropdown(visible=False) for adapter in chat.adapters} if current else {}),
        # It empties the columns, so it is another conversation.
        **(chat.conversations.unsaved() if is_new_round else {}),
    }
    async for update in stream_into_columns(studio, chat, user, questions, inputs.settings, first, open_vote):
        yield update


@requires(Role.VISITOR)
def choose_example(
    studio: Studio, request: gr.Request, data: gr.SelectData, column_count: int, first_model: str | None
) -> list[Any]:
    """The example goes into the composer. Beside the base, a second column shows what the newest adapter changes."""
    text = text_of(data.value.get("text") if isinstance(data.value, dict) else data.value)
    adapters = usable_adapters(studio, user_of(request))
    if column_count > 1 or not adapters or (first_model or BASE) != BASE:
        return [text, gr.skip(), gr.skip()]
    return [text, 2, gr.Dropdown(value=adapters[0])]


@requires(Role.VISITOR)
def edit_last_question(chat: ChatComponents, column_count: int, recipient: int, *histories: Any) -> dict[Any, Any]:
    """Put the last question back into the composer. The next message replaces it."""
    for i in range(column_count):
        index = last_question_index(histories[i]) if recipient in (ALL, i + 1) else None
        if index is not None:
            return {chat.composer.text: text_of(histories[i][index]["content"]), **chat.composer.editing(True)}
    return chat.composer.editing(False)


@requires(Role.VISITOR)
def cancel_edit(chat: ChatComponents) -> dict[Any, Any]:
    return {chat.composer.text: "", **chat.composer.editing(False)}


@requires(Role.VISITOR)
def show_columns(chat: ChatComponents, column_count: int) -> dict[Any, Any]:
    several = column_count > 1
    return {
        **{column.box: gr.Column(visible=i < column_count) for i, column in enumerate(chat.columns)},
        chat.bar.recipient: gr.Radio(choices=recipients(column_count), value=ALL, visible=several),
        chat.bar.blind: gr.Checkbox(visible=several),
    }


@requires(Role.VISITOR)
def clear_chat(chat: ChatComponents) -> dict[Any, Any]:
    return chat.emptied()


@requires(Role.VISITOR)
def stop_answers(chat: ChatComponents) -> dict[Any, Any]:
    """The event cancels those that answer. Here Send takes its place again."""
    return chat.composer.answering(False)


@requires(Role.VISITOR)
def switch_blind(chat: ChatComponents, is_blind: bool, blind_round: BlindRound | None) -> dict[Any, Any]:
    """On: empty columns without names. Off before the vote: the names, in the order in which they answered."""
    if is_blind:
        return {**chat.emptied(), **{adapter: gr.Dropdown(visible=False) for adapter in chat.adapters}}
    models = blind_round.models if blind_round is not None and not blind_round.voted else ()
    names = {adapter: gr.Dropdown(visible=True) for adapter in chat.adapters}
    names |= {chat.adapters[i]: gr.Dropdown(value=model, visible=True) for i, model in enumerate(models)}
    return {chat.voting.round: None, **names}


@requires(Role.VISITOR)
async def watch_engine(studio: Studio) -> AsyncIterator[str]:
    """The bar over the chat while the engine is loading; nothing, and no more events, once it is there."""
    async for phase in loading_phases(studio):
        yield phase
    yield ""

"""What can be done to a column's turns: ask again, edit, continue, undo, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from studio.answers.ask import GenerationSettings, Question
from studio.answers.badge import badge
from studio.answers.history import History, before_last_question, edit_message, model_of, remove_turn, up_to_question
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import Role, user_of
from studio.auth.permissions import requires
from studio.chat.components import ChatComponents
from studio.chat.streaming import Updates, Views, stream_into_columns
from studio.compare.blind import BlindRound
from studio.compare.votes import Ballot
from studio.compare.voting import candidate_of
from studio.context import Studio
from studio.engine.client import BASE
from studio.ui.events import bind

TURN = "(history) => [history, studio.turn]"  # which turn somebody points at: studio/ui/assets/turns.js


@dataclass(frozen=True)
class ColumnInputs:
    """What stands in one column, and what all columns share."""

    history: History
    model: str
    blind_round: BlindRound | None
    ballot: Ballot | None
    settings: GenerationSettings

    @classmethod
    def of(cls, values: Sequence[Any]) -> ColumnInputs:
        """The values of a column's components, as handlers get them."""
        history, model, blind_round, ballot, *settings = values
        return cls(history or [], model or BASE, blind_round, ballot, GenerationSettings(*settings))


def wire(studio: Studio, chat: ChatComponents) -> tuple[list[Any], list[Any]]:
    """All columns. Returns the events that answer, and those that only take something away."""
    answering: list[Any] = []
    removing: list[Any] = []
    for index, column in enumerate(chat.columns):
        # Nothing can be asked again in a column that is being answered: Gradio sees to that where it shows progress.
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "show_progress_on": [column.chatbot],
        }
        voting = [chat.voting.ballot, chat.voting.row]
        shortened = [column.chatbot, column.badge, column.continue_button]
        # In the order of ColumnInputs.
        inputs = [column.chatbot, column.adapter, chat.voting.round, chat.voting.ballot, *chat.settings.all]
        outputs = [*shortened, chat.composer.send, chat.composer.stop, *voting]
        handlers: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
            (column.chatbot.retry, retry_answer),
            (column.chatbot.edit, edit_turn),
            (column.continue_button.click, continue_answer),
        ]
        answering += [
            trigger(bind(handler, studio, chat, index), inputs, outputs, concurrency_limit=16, **quiet)
            for trigger, handler in handlers
        ]
        outputs = [*shortened, *voting]
        delete_inputs = [column.chatbot, column.turn]
        removing += [
            column.chatbot.undo(bind(undo_turn), column.chatbot, outputs, queue=False, **quiet),
            column.delete_button.click(bind(delete_turn), delete_inputs, outputs, js=TURN, queue=False, **quiet),
        ]
    return answering, removing


async def ask_again(
    studio: Studio,
    chat: ChatComponents,
    index: int,
    request: gr.Request,
    history: History,
    inputs: ColumnInputs,
) -> Updates:
    """Ask `history` in this column. Other columns and their answers stay as they are."""
    question = Question(history, inputs.model)
    blind_round, ballot, settings = inputs.blind_round, inputs.ballot, inputs.settings
    if blind_round and not blind_round.voted and index < len(blind_round.models):
        question = Question(history, blind_round.models[index], blind_round.alias(index))

    def replace_candidate(views: Views) -> dict[Any, Any]:
        answer = views[index].answer
        if ballot is None or answer.error or not answer.text or index >= len(ballot.candidates):
            return {}
        candidate = candidate_of(question, views[index], settings)
        return {chat.voting.ballot: ballot.with_candidate(index, candidate)}

    questions = {index: question}
    async for update in stream_into_columns(studio, chat, user_of(request), questions, settings, {}, replace_candidate):
        yield update


@requires(Role.VISITOR, counted=True)
async def retry_answer(
    studio: Studio,
    chat: ChatComponents,
    index: int,
    request: gr.Request,
    data: gr.RetryData,
    *values: Any,
) -> Updates:
    inputs = ColumnInputs.of(values)
    if inputs.settings.temperature == 0:
        gr.Info("At temperature 0 the same question gets the same answer. Raise it under “System prompt and sampling”.")
    asked = up_to_question(inputs.history, message_index(data.index))
    async for update in ask_again(studio, chat, index, request, asked, inputs):
        yield update


@requires(Role.VISITOR, counted=True)
async def edit_turn(
    studio: Studio,
    chat: ChatComponents,
    index: int,
    request: gr.Request,
    data: gr.EditData,
    *values: Any,
) -> Updates:
    """A changed question is asked again; a changed answer stays as it was written."""
    inputs = ColumnInputs.of(values)
    edited, needs_answer = edit_message(inputs.history, message_index(data.index), edited_text(data.value))
    if not needs_answer:
        column = chat.columns[index]
        yield {column.chatbot: edited, column.badge: last_answer_badge(edited), **chat.voting.closed()}
        return
    async for update in ask_again(studio, chat, index, request, edited, inputs):
        yield update


@requires(Role.VISITOR, counted=True)
async def continue_answer(
    studio: Studio,
    chat: ChatComponents,
    index: int,
    request: gr.Request,
    *values: Any,
) -> Updates:
    inputs = ColumnInputs.of(values)
    if not inputs.history or inputs.history[-1]["role"] != "assistant":
        raise UserError("There is no answer to go on with in this column.", "Ask something first.")
    async for update in ask_again(studio, chat, index, request, inputs.history, inputs):
        yield update


@requires(Role.VISITOR)
def undo_turn(history: History) -> list[Any]:
    return shortened_column(before_last_question(history))


@requires(Role.VISITOR)
def delete_turn(history: History, index: float | None) -> list[Any]:
    if index is None or not 0 <= index < len(history or []):
        raise UserError("That turn is not there any more.", "Point at the turn that shall go once more.")
    return shortened_column(remove_turn(history, int(index)))


def shortened_column(history: History) -> list[Any]:
    """What the page shows of a column after some of its turns were taken out: nothing to continue, or to vote on."""
    return [history, last_answer_badge(history), gr.Button(visible=False), None, gr.Row(visible=False)]


def last_answer_badge(history: History) -> str:
    """The badge of the answer that is now the last one; an empty one where its model is not known, as when blind."""
    models = [model_of(message) for message in history if message["role"] == "assistant"]
    return badge(StreamedAnswer(model=models[-1], done=True) if models and models[-1] else None)


def message_index(index: Any) -> int:
    """Gradio gives the index of a message, or of a part of one as (message, part)."""
    return int(index[0] if isinstance(index, list | tuple) else index)


def edited_text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(str(part.get("text", "")) for part in value or [])

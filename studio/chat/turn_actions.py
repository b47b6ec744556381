"""What can be done to a column's turns: ask again, change, go on, leave out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from studio.answers.ask import ColumnView, GenerationSettings, Question
from studio.answers.badge import badge
from studio.answers.history import History, before_last_question, edit_message, model_of, remove_turn, up_to_question
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import user_of
from studio.chat.streaming import Asking
from studio.compare.blind import Round
from studio.compare.votes import Ballot
from studio.compare.voting import Poll, candidate
from studio.engine.client import BASE
from studio.ui.events import told

Updates = AsyncIterator[dict[Any, Any]]
TURN = "(history) => [history, studio.turn]"  # which one was pointed at: studio/ui/assets/turns.js


def build(asking: Asking, poll: Poll, settings: list[Any]) -> tuple[list[Any], list[Any]]:
    """Wire all columns. Returns the events that answer, and those that only take something away."""
    answering: list[Any] = []
    others: list[Any] = []
    for index in range(len(asking.cells)):
        more, less = wire(asking, poll, settings, index)
        answering += more
        others += less
    return answering, others


def wire(asking: Asking, poll: Poll, settings: list[Any], index: int) -> tuple[list[Any], list[Any]]:
    cell = asking.cells[index]

    async def again(
        request: gr.Request,
        history: History,
        chosen: str | None,
        now: Round | None,
        ballot: Ballot | None,
        *values: Any,
    ) -> Updates:
        """Ask `history` in this column. Other columns and their answers stay as they are."""
        hidden = now.label(index) if now and not now.voted and index < len(now.models) else ""
        model = now.models[index] if now and hidden else chosen or BASE
        question = Question(history, model, hidden)
        settings = GenerationSettings(*values)

        def last(shown: dict[int, ColumnView]) -> dict[Any, Any]:
            answer = shown[index].answer
            if ballot is None or answer.error or not answer.text or index >= len(ballot.candidates):
                return {}
            return {poll.ballot: ballot.with_candidate(index, candidate(question, shown[index], settings))}

        async for update in asking.stream(user_of(request), {index: question}, settings, {}, last):
            yield update

    async def retry(request: gr.Request, data: gr.RetryData, history: History, *rest: Any) -> Updates:
        if rest[4] == 0:  # temperature
            gr.Info(
                "At temperature 0 the same question gets the same answer. Raise it under “System prompt and sampling”."
            )
        async for update in again(request, up_to_question(history, place(data.index)), *rest):
            yield update

    async def edit(request: gr.Request, data: gr.EditData, history: History, *rest: Any) -> Updates:
        changed, asks = edit_message(history, place(data.index), words(data.value))
        if not asks:
            yield {cell.bot: changed, cell.badge: who_said(changed), **poll.closed()}
            return
        async for update in again(request, changed, *rest):
            yield update

    async def go_on(request: gr.Request, history: History, *rest: Any) -> Updates:
        if not history or history[-1]["role"] != "assistant":
            raise UserError("There is no answer to go on with in this column.", "Ask something first.")
        async for update in again(request, history, *rest):
            yield update

    def undo(history: History) -> list[Any]:
        return left(before_last_question(history))

    def forget(history: History, which: float | None) -> list[Any]:
        if which is None or not 0 <= which < len(history or []):
            raise UserError("That turn is not there any more.", "Point at the turn that shall go once more.")
        return left(remove_turn(history, int(which)))

    # Nothing can be asked again in a column that is being answered: Gradio sees to that where it shows progress.
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "show_progress_on": [cell.bot]}
    inputs = [cell.bot, cell.adapter, poll.round, poll.ballot, *settings]
    outputs = [cell.bot, cell.badge, cell.go_on, asking.send, asking.stop, poll.ballot, poll.row]
    pairs: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
        (cell.bot.retry, retry),
        (cell.bot.edit, edit),
        (cell.go_on.click, go_on),
    ]
    answering = [trigger(told(handler), inputs, outputs, concurrency_limit=16, **quiet) for trigger, handler in pairs]
    shortened = [cell.bot, cell.badge, cell.go_on, poll.ballot, poll.row]
    taking = [
        cell.bot.undo(told(undo), cell.bot, shortened, queue=False, **quiet),
        cell.forget.click(told(forget), [cell.bot, cell.turn], shortened, js=TURN, queue=False, **quiet),
    ]
    return answering, taking


def left(history: History) -> list[Any]:
    """What the page shows of a column that some turns were taken out of."""
    return [history, who_said(history), gr.Button(visible=False), None, gr.Row(visible=False)]


def who_said(history: History) -> str:
    """The badge of the answer that is now the last one; none where that was not told, as in a blind round."""
    said = [model_of(each) for each in history if each["role"] == "assistant"]
    return badge(StreamedAnswer(model=said[-1], done=True) if said and said[-1] else None, BASE)


def place(index: Any) -> int:
    """Gradio gives the place of a message, or of a part of one as (message, part)."""
    return int(index[0] if isinstance(index, list | tuple) else index)


def words(value: Any) -> str:
    return value if isinstance(value, str) else "".join(str(part.get("text", "")) for part in value or [])

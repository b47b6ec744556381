"""Chat: one to four columns, each with the base or an adapter, and one composer for all of them or for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.models.base import BUILTIN
from studio.answers.ask import ColumnView, GenerationSettings, Question, loading_phases
from studio.answers.badge import badge
from studio.answers.history import add_question, before_last_question, last_question, text_of, to_messages
from studio.auth.identity import user_of
from studio.auth.published import usable_adapters
from studio.chat import columns, composer, keep_example, saved, turn_actions
from studio.chat import settings as chat_settings
from studio.chat.columns import COLUMNS
from studio.chat.streaming import Asking
from studio.compare import blind, voting
from studio.compare import page as comparing
from studio.context import Studio
from studio.engine.client import BASE
from studio.ui.download_button import Downloads
from studio.ui.events import told

# Where the adapters that are taught from the bundled samples differ most from the base.
EXAMPLES = ("What is the capital of Cuba?", "What sound does a cow make?", "Who are you?")
EXAMPLES_OF_OTHERS = ("Explain to a child why the sky is blue.", "Write a haiku about autumn.", "Who are you?")


@dataclass(frozen=True)
class ChatPage:
    """The components that other parts of the page keep current."""

    adapters: list[gr.Dropdown]
    models: list[gr.Dropdown]  # these offer all models
    count: gr.Radio  # of columns
    owners: list[Any]  # what is shown to the owner, and
    users: list[Any]  # to those who may vote
    kept: Any  # the event of keeping an answer as a training example


def build(studio: Studio) -> ChatPage:
    page = gr.context.Context.root_block
    assert page is not None, "the chat is built within the page"
    with gr.Column(elem_id="chat"):
        bar = composer.build_bar()
        talks = saved.build(bar.archive)
        loading = gr.HTML("", elem_id="engine-loading", padding=False)
        cells = columns.build(EXAMPLES if studio.base == BUILTIN else EXAMPLES_OF_OTHERS)
        poll = voting.build(studio, cells)
        box = composer.build()
        chosen = chat_settings.build(page, 0.0 if studio.base == BUILTIN else 0.7)
        kept = keep_example.build(studio, [c.keep for c in cells], [[c.bot, chosen.system] for c in cells], to_messages)
        downloads = Downloads()
        compared = comparing.build(studio, chosen, poll.voted, downloads)
    adapters, bots, badges = [c.adapter for c in cells], [c.bot for c in cells], [c.badge for c in cells]
    asking = Asking(studio, cells, box.send, box.stop)

    async def send(
        request: gr.Request,
        text: str | None,
        shown: int,
        recipient: int,
        changing: bool,
        blindly: bool,
        now: blind.Round | None,
        *rest: Any,
    ) -> AsyncIterator[dict[Any, Any]]:
        settings, names, histories = GenerationSettings(*rest[:5]), rest[5 : 5 + COLUMNS], rest[5 + COLUMNS :]
        if not text or not text.strip():
            gr.Info("Write a message first.")
            return
        person = user_of(request)
        begun = blind.round_for(blindly, now, [name or BASE for name in names[:shown]])
        questions = {}
        for i in range(shown):
            if begun is None and recipient not in (composer.ALL, i + 1):
                continue
            history = [] if begun is not None and begun is not now else histories[i]
            history = add_question(before_last_question(history) if changing else history, text)
            questions[i] = Question(history, names[i] or BASE)
            if begun is not None:
                questions[i] = Question(history, begun.models[i], begun.label(i))

        def last(all_shown: dict[int, ColumnView]) -> dict[Any, Any]:
            return poll.opened(person, questions, all_shown, begun, settings) if 1 < len(questions) == shown else {}

        # What a new blind round hides again: a round that was voted on has shown its names.
        hidden = {each: gr.Dropdown(visible=False) for each in adapters} if begun else {}
        # A new round empties the columns, so it is another conversation.
        other = {talks.current: "", talks.name: ""} if begun is not None and begun is not now else {}
        first = {box.text: "", **box.editing(False), poll.round: begun, **poll.closed(), **hidden, **other}
        async for update in asking.stream(person, questions, settings, first, last):
            yield update

    def example(request: gr.Request, data: gr.SelectData, shown: int, first: str | None) -> list[Any]:
        """An example shows what an adapter changes: beside the base, the newest one answers too."""
        text = text_of(data.value.get("text") if isinstance(data.value, dict) else data.value)
        names = usable_adapters(studio, user_of(request))
        if shown > 1 or not names or (first or BASE) != BASE:
            return [text, gr.skip(), gr.skip()]
        return [text, 2, gr.Dropdown(value=names[0])]

    def recall(shown: int, recipient: int, *histories: Any) -> dict[Any, Any]:
        """The last question goes back into the composer; it is replaced when it is sent."""
        for i in range(shown):
            where = last_question(histories[i]) if recipient in (composer.ALL, i + 1) else None
            if where is not None:
                return {box.text: text_of(histories[i][where]["content"]), **box.editing(True)}
        return box.editing(False)

    def leave() -> dict[Any, Any]:
        return {box.text: "", **box.editing(False)}

    def show(n: int) -> list[Any]:
        return [*[gr.Column(visible=i < n) for i in range(COLUMNS)], *bar.choices(n)]

    def clear() -> list[Any]:
        return [[], badge(None, BASE), gr.Button(visible=False)] * COLUMNS + [None, None, gr.Row(visible=False), "", ""]

    def stopped() -> list[Any]:
        return [gr.Button(visible=True), gr.Button(visible=False)]

    def hide(blindly: bool, now: blind.Round | None) -> list[Any]:
        """Blind on: empty columns without names. Blind off before the vote: the names, in the order they had."""
        revealed = now.models if now is not None and not now.voted and not blindly else ()
        names = [
            gr.Dropdown(revealed[i], visible=True) if i < len(revealed) else gr.Dropdown(visible=not blindly)
            for i in range(COLUMNS)
        ]
        return [*clear(), *names] if blindly else [*[gr.skip()] * (3 * COLUMNS), None, *[gr.skip()] * 4, *names]

    async def watch() -> AsyncIterator[str]:
        """The bar over the chat while the engine is loading; nothing, and no more events, once it is there."""
        async for phase in loading_phases(studio):
            yield phase
        yield ""

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    unqueued = {**quiet, "queue": False}
    # Nothing can be asked again in a column that is being answered: Gradio sees to that where it shows progress.
    streaming = {**quiet, "concurrency_limit": 16, "show_progress_on": bots}
    inputs = [box.text, bar.count, bar.to, box.changing, bar.blind, poll.round, *chosen.all, *adapters, *bots]
    outputs = [*box.all, *poll.all, *adapters, *bots, *badges, *[c.go_on for c in cells], talks.current, talks.name]
    picking = bots[0].example_select(example, [bar.count, adapters[0]], [box.text, bar.count, adapters[1]], **unqueued)
    sending = [
        gr.on([box.text.submit, box.send.click], told(send), inputs, outputs, **streaming),
        picking.success(told(send), inputs, outputs, **streaming),
    ]
    mended, undone = turn_actions.build(asking, poll, chosen.all)
    # Cancelling closes the handler's iterator, which closes the requests, which frees the engine's rows.
    answering = [*sending, *mended]
    stopping = box.stop.click(stopped, None, [box.send, box.stop], cancels=answering, queue=False, **quiet)
    emptied = [part for c in cells for part in (c.bot, c.badge, c.go_on)]
    emptied += [poll.round, poll.ballot, poll.row, talks.current, talks.name]
    bar.clear.click(clear, None, emptied, cancels=answering, **unqueued)
    bar.count.change(show, bar.count, [*[c.box for c in cells], bar.to, bar.blind], **unqueued)
    bar.blind.input(hide, [bar.blind, poll.round], [*emptied, *adapters], cancels=answering, **unqueued)
    box.recall.click(recall, [bar.count, bar.to, *bots], [box.text, box.note, box.changing], **unqueued)
    box.leave.click(leave, None, [box.text, box.note, box.changing], **unqueued)
    page.load(watch, None, loading, concurrency_limit=None, **quiet)
    ended = [*answering, *undone, *poll.voted, stopping]
    saved.wire(studio, talks, chosen, bar.count, poll.round, adapters, bots, badges, emptied, clear, ended, downloads)
    owners = [*[c.keep for c in cells], *compared.owners, talks.teach]
    return ChatPage(adapters, [*adapters, compared.chosen], bar.count, owners, [compared.votes], kept)

"""Chat: one to four columns, each with the base or an adapter, and one composer for all of them or for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.models.base import BUILTIN
from studio.chat import (
    columns,
    composer,
    conversations_handlers,
    conversations_panel,
    example_panel,
    handlers,
    turn_handlers,
)
from studio.chat import settings as chat_settings
from studio.chat.components import ChatComponents
from studio.compare import page as compare_page
from studio.compare import voting
from studio.context import Studio
from studio.ui.download_button import Downloads
from studio.ui.events import bind

# Where the adapters that are taught from the bundled samples differ most from the base.
EXAMPLES = ("What is the capital of Cuba?", "What sound does a cow make?", "Who are you?")
EXAMPLES_OF_OTHER_BASES = ("Explain to a child why the sky is blue.", "Write a haiku about autumn.", "Who are you?")

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
UNQUEUED = {**QUIET, "queue": False}


@dataclass(frozen=True)
class ChatPage:
    """What other parts of the page keep current, or follow."""

    components: ChatComponents
    models: list[gr.Dropdown]  # these offer all models
    for_owner: list[Any]  # what is shown to the owner, and
    for_users: list[Any]  # to those who may vote
    example_added: Any  # the event of keeping an answer as a training example


def build(studio: Studio) -> ChatPage:
    page = gr.context.Context.root_block
    assert page is not None, "the chat is built within the page"
    is_builtin = studio.base == BUILTIN
    with gr.Column(elem_id="chat"):
        bar = composer.build_bar()
        conversations = conversations_panel.build()
        loading = gr.HTML("", elem_id="engine-loading", padding=False)
        cells = columns.build(EXAMPLES if is_builtin else EXAMPLES_OF_OTHER_BASES)
        voting_row = voting.build([column.adapter for column in cells], [column.badge for column in cells])
        message_box = composer.build_composer()
        settings = chat_settings.build(page, 0.0 if is_builtin else 0.7)
        examples = example_panel.build()
        downloads = Downloads()
        votes = voting.wire(studio, voting_row)
        compare = compare_page.build(studio, settings.all, votes, downloads)
    chat = ChatComponents(bar, conversations, cells, voting_row, message_box, settings)
    example_added = example_panel.wire(studio, examples, cells, settings.system)
    answering = wire_composer(studio, chat)
    asking_again, removing = turn_handlers.wire(studio, chat)
    answering += asking_again
    stopping = wire_bar(chat, answering)
    page.load(bind(handlers.watch_engine, studio), None, loading, concurrency_limit=None, **QUIET)
    conversations_handlers.wire(studio, page, chat, [*answering, *removing, *votes, stopping], downloads)
    for_owner = [*(column.keep_button for column in cells), *compare.for_owner, conversations.as_example]
    return ChatPage(chat, [*chat.adapters, compare.models], for_owner, [compare.votes], example_added)


def wire_composer(studio: Studio, chat: ChatComponents) -> list[Any]:
    """Returns the events that answer."""
    box, bar = chat.composer, chat.bar
    # Nothing can be asked again in a column that is being answered: Gradio sees to that where it shows progress.
    streaming = {**QUIET, "concurrency_limit": 16, "show_progress_on": chat.chatbots}
    inputs = [box.text, bar.column_count, bar.recipient, box.is_editing, bar.blind, chat.voting.round, *chat.inputs]
    columns_shown = [*chat.adapters, *chat.chatbots, *chat.badges, *chat.continue_buttons]
    conversation = [chat.conversations.current, chat.conversations.name]
    outputs = [*box.outputs, *chat.voting.outputs, *columns_shown, *conversation]
    send = bind(handlers.send_message, studio, chat)
    choosing = chat.chatbots[0].example_select(
        bind(handlers.choose_example, studio),
        [bar.column_count, chat.adapters[0]],
        [box.text, bar.column_count, chat.adapters[1]],
        **UNQUEUED,
    )
    edited = [box.text, box.note, box.is_editing]
    edit_inputs = [bar.column_count, bar.recipient, *chat.chatbots]
    box.edit_last.click(bind(handlers.edit_last_question, chat), edit_inputs, edited, **UNQUEUED)
    box.cancel_edit.click(bind(handlers.cancel_edit, chat), None, edited, **UNQUEUED)
    return [
        gr.on([box.text.submit, box.send.click], send, inputs, outputs, **streaming),
        choosing.success(send, inputs, outputs, **streaming),
    ]


def wire_bar(chat: ChatComponents, answering: list[Any]) -> Any:
    """answering: the events that stopping, a new chat and a blind round cancel. Returns the event of stopping."""
    box, bar = chat.composer, chat.bar
    shown = [*(column.box for column in chat.columns), bar.recipient, bar.blind]
    emptied = chat.emptied_outputs
    bar.clear.click(bind(handlers.clear_chat, chat), None, emptied, cancels=answering, **UNQUEUED)
    bar.column_count.change(bind(handlers.show_columns, chat), bar.column_count, shown, **UNQUEUED)
    bar.blind.input(
        bind(handlers.switch_blind, chat),
        [bar.blind, chat.voting.round],
        [*emptied, *chat.adapters],
        cancels=answering,
        **UNQUEUED,
    )
    # Cancelling closes the handler's iterator, which closes the requests, which frees the engine's rows.
    stop = bind(handlers.stop_answers, chat)
    return box.stop.click(stop, None, [box.send, box.stop], cancels=answering, **UNQUEUED)

"""Saved conversations: found again, continued, renamed, exported, taught from.

Whose home folder this is finds them on disk; everybody else has them in their own browser only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from studio.answers import checkpoints
from studio.answers.badge import badge
from studio.answers.history import to_messages
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import LOCAL_OWNER, Role, User, user_of
from studio.auth.permissions import requires
from studio.auth.published import usable_adapters
from studio.chat import training_examples
from studio.chat.columns import COLUMNS
from studio.chat.components import ChatComponents, ChatInputs
from studio.chat.conversation_stores import (
    BrowserStore,
    ConversationStore,
    DiskStore,
    find_conversation,
    save_conversation,
)
from studio.chat.conversations import ColumnRecord, Conversation
from studio.chat.conversations_view import render_conversations
from studio.chat.example_panel import add_example
from studio.chat.settings import restore_settings
from studio.compare.blind import BlindRound
from studio.context import Studio
from studio.engine.client import BASE
from studio.ui.download_button import Downloads
from studio.ui.events import bind
from studio.ui.html_events import clicked_action

# The conversation that this tab of the browser is in, so that reloading the page brings it back.
REMEMBER = "(id) => { sessionStorage.setItem('studio-conversation', id || ''); return []; }"
RECALL = "(id, ...rest) => [sessionStorage.getItem('studio-conversation') || '', ...rest]"


def wire(studio: Studio, page: gr.Blocks, chat: ChatComponents, answered: Sequence[Any], downloads: Downloads) -> None:
    """answered: the events after which the conversation is saved."""
    panel = chat.conversations
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    unqueued = {**quiet, "queue": False}
    whole = [*panel.inputs, chat.bar.column_count, chat.voting.round, *chat.inputs]
    for event in answered:
        event.success(
            bind(save_current, studio), whole, [panel.current, panel.name, panel.in_browser, panel.list], **unqueued
        )
    chat.bar.conversations.click(
        bind(toggle_panel, studio), [panel.is_open, *panel.inputs], [panel.is_open, panel.box, panel.list], **unqueued
    )
    panel.query.change(
        bind(search_conversations, studio), panel.inputs, panel.list, trigger_mode="always_last", **quiet
    )
    columns = [*chat.emptied_outputs, *chat.adapters, chat.bar.column_count]
    panel.list.select(
        bind(open_conversation, studio, chat),
        [panel.in_browser, panel.query],
        [*columns, *chat.settings.all, panel.list],
        **quiet,
    )
    panel.list.click(
        bind(delete_conversation, studio), panel.inputs, [panel.current, panel.in_browser, panel.list], **quiet
    )
    gr.on(
        [panel.rename.click, panel.name.submit],
        bind(rename_conversation, studio),
        [*panel.inputs, panel.name],
        [panel.name, panel.in_browser, panel.list],
        **quiet,
    )
    stored = [panel.current, panel.in_browser]
    downloads.on(panel.as_markdown, bind(export_markdown, studio), stored)
    downloads.on(panel.as_json, bind(export_json, studio), stored)
    panel.as_example.click(bind(add_to_examples, studio), stored, None, **quiet)
    page.load(bind(reopen_conversation, studio, chat), stored, columns, js=RECALL, **unqueued)
    panel.current.change(None, panel.current, None, js=REMEMBER, **unqueued)


@requires(Role.VISITOR)
def save_current(
    studio: Studio,
    request: gr.Request,
    current_id: str | None,
    in_browser: Any,
    query: str | None,
    column_count: int,
    blind_round: BlindRound | None,
    *values: Any,
) -> list[Any]:
    """Save what is in the columns; of a blind round only once its names are known."""
    inputs = ChatInputs.of(values)
    columns = [ColumnRecord.of(inputs.models[i], inputs.histories[i]) for i in range(column_count)]
    if not any(column.messages for column in columns) or (blind_round is not None and not blind_round.voted):
        return [gr.skip()] * 4
    store = store_for(studio, request, in_browser)
    conversation = save_conversation(store, Conversation.new(columns, asdict(inputs.settings), current_id or ""))
    warn_if_unwritten(store)
    if isinstance(store, BrowserStore) and store.dropped:
        gr.Info(f"Your browser has no more room: the {store.dropped} oldest conversations were let go.")
    listed = render_conversations(store, query, conversation.id)
    return [conversation.id, conversation.name, browser_records(store), listed]


@requires(Role.VISITOR)
def toggle_panel(
    studio: Studio, request: gr.Request, is_open: bool, current_id: str | None, in_browser: Any, query: str | None
) -> list[Any]:
    listed = render_conversations(store_for(studio, request, in_browser), query, current_id)
    return [not is_open, gr.Column(visible=not is_open), listed]


@requires(Role.VISITOR)
def search_conversations(
    studio: Studio, request: gr.Request, current_id: str | None, in_browser: Any, query: str | None
) -> str:
    return render_conversations(store_for(studio, request, in_browser), query, current_id)


@requires(Role.VISITOR)
def open_conversation(
    studio: Studio,
    chat: ChatComponents,
    request: gr.Request,
    in_browser: Any,
    query: str | None,
    event: gr.EventData,
) -> dict[Any, Any]:
    store = store_for(studio, request, in_browser)
    conversation = find_conversation(store, clicked_action(event)[1])
    settings = dict(zip(chat.settings.all, restore_settings(conversation.settings), strict=True))
    listed = render_conversations(store, query, conversation.id)
    return {**in_columns(studio, chat, user_of(request), conversation), **settings, chat.conversations.list: listed}


@requires(Role.VISITOR)
def reopen_conversation(
    studio: Studio, chat: ChatComponents, request: gr.Request, current_id: str | None, in_browser: Any
) -> dict[Any, Any]:
    """After a reload: the conversation that was in this tab. The browser remembers the settings anyway."""
    for conversation in store_for(studio, request, in_browser).all():
        if conversation.id == current_id:
            return in_columns(studio, chat, user_of(request), conversation)
    return {chat.conversations.current: ""}


def in_columns(studio: Studio, chat: ChatComponents, user: User, conversation: Conversation) -> dict[Any, Any]:
    """The page with this conversation in its columns. A column whose model is gone continues with the base."""
    running = [] if user.only_published else checkpoints.choices(studio.home)
    names = [BASE, *usable_adapters(studio, user)]
    usable = {*names, *(value for _, value in running)}
    records = conversation.columns[:COLUMNS]
    gone = sorted({record.model for record in records} - usable)
    if gone:
        gr.Info(f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} not here any more: the base goes on there.")
    updates = chat.emptied()
    for column, record in zip(chat.columns, records, strict=False):
        model = record.model if record.model in usable else BASE
        models = [message["model"] for message in record.messages if "model" in message]
        updates[column.chatbot] = record.history()
        updates[column.adapter] = gr.Dropdown(choices=[*names, *running], value=model, visible=True)
        updates[column.badge] = badge(StreamedAnswer(model=models[-1], done=True) if models else None)
    updates[chat.bar.column_count] = max(1, len(records))
    return {**updates, chat.conversations.current: conversation.id, chat.conversations.name: conversation.name}


@requires(Role.VISITOR)
def rename_conversation(
    studio: Studio, request: gr.Request, current_id: str | None, in_browser: Any, query: str | None, name: str | None
) -> list[Any]:
    store = store_for(studio, request, in_browser)
    renamed = replace(find_conversation(store, current_id), name=" ".join((name or "").split())[:200])
    store.put(renamed)
    warn_if_unwritten(store)
    return [renamed.name, browser_records(store), render_conversations(store, query, current_id)]


@requires(Role.VISITOR)
def delete_conversation(
    studio: Studio,
    request: gr.Request,
    current_id: str | None,
    in_browser: Any,
    query: str | None,
    event: gr.EventData,
) -> list[Any]:
    """Delete one. If it is in the columns it stays there, and the next answer saves it anew."""
    store = store_for(studio, request, in_browser)
    deleted_id = clicked_action(event)[1]
    store.delete(deleted_id)
    left_id = None if deleted_id == current_id else current_id
    return [
        "" if deleted_id == current_id else current_id,
        browser_records(store),
        render_conversations(store, query, left_id),
    ]


@requires(Role.VISITOR)
def export_markdown(studio: Studio, request: gr.Request, current_id: str | None, in_browser: Any) -> str:
    conversation = current_conversation(store_for(studio, request, in_browser), current_id)
    return json.dumps([f"conversation-{conversation.id}.md", conversation.as_markdown()])


@requires(Role.VISITOR)
def export_json(studio: Studio, request: gr.Request, current_id: str | None, in_browser: Any) -> str:
    conversation = current_conversation(store_for(studio, request, in_browser), current_id)
    return json.dumps([f"conversation-{conversation.id}.json", conversation.as_json()])


@requires(Role.OWNER)
def add_to_examples(studio: Studio, request: gr.Request, current_id: str | None, in_browser: Any) -> None:
    """Add the conversation to the training examples. Every answer in it is then learnt."""
    conversation = current_conversation(store_for(studio, request, in_browser), current_id)
    if len(conversation.columns) > 1:
        raise UserError(
            f"This conversation has {len(conversation.columns)} columns, which answer the same questions differently.",
            "Choose the better answer with “Keep answer” beneath its column.",
        )
    messages = to_messages(conversation.columns[0].history(), conversation.settings.get("system"))
    answer = messages[-1]["content"] if messages else ""
    add_example(studio, training_examples.last_exchange(messages, answer, whole=True))


def store_for(studio: Studio, request: gr.Request, in_browser: Any) -> ConversationStore:
    """On disk for whose home folder it is; who comes by the Hub has their conversations in their browser only."""
    if user_of(request).key in (LOCAL_OWNER.key, "owner"):
        return DiskStore(studio.home)
    return BrowserStore(in_browser)


def warn_if_unwritten(store: ConversationStore) -> None:
    if isinstance(store, DiskStore) and store.trouble:
        gr.Warning(store.trouble, title="Not kept yet")


def browser_records(store: ConversationStore) -> Any:
    """What the browser is to keep."""
    return store.records if isinstance(store, BrowserStore) else gr.skip()


def current_conversation(store: ConversationStore, current_id: str | None) -> Conversation:
    if not current_id:
        raise UserError("There is no conversation yet.", "Ask something, or open one from the list.")
    return find_conversation(store, current_id)

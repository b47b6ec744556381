"""Conversations that were kept: found again, gone on with, named, exported, taught from.

Whose home folder this is finds them on disk; everybody else has them in their own browser only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr

from adapters.common import damaged_files
from adapters.common.errors import UserError
from studio.answers import checkpoints
from studio.answers.badge import badge
from studio.answers.history import to_messages
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import LOCAL_OWNER, User, user_of
from studio.auth.published import usable_adapters
from studio.chat import examples
from studio.chat import settings as chat_settings
from studio.chat.columns import COLUMNS
from studio.chat.conversations import Column, Conversation, InBrowser, OnDisk, Shelf, find, keep
from studio.chat.settings import NAMES, ChatSettings
from studio.compare.blind import Round
from studio.context import Studio
from studio.engine.client import BASE
from studio.ui.download_button import Downloads
from studio.ui.events import told
from studio.ui.html_events import clickable_html, clicked_action

SHOWN = 50
SEARCHED = 200  # characters: each word is looked for in all that was said
NONE_YET = '<div class="empty">No conversations yet. Each one is kept here as soon as something is answered.</div>'
NONE_FOUND = '<div class="empty">No conversation has all these words.</div>'
# The conversation that this tab of the browser is in, so that reloading the page goes on with it.
REMEMBER = "(id) => { sessionStorage.setItem('studio-conversation', id || ''); return []; }"
RECALL = "(id, ...rest) => [sessionStorage.getItem('studio-conversation') || '', ...rest]"


@dataclass(frozen=True)
class Archive:
    current: gr.Textbox  # the id of the conversation in the columns; "" for one that is not kept yet
    opener: gr.Button
    panel: gr.Column
    name: gr.Textbox
    rename: gr.Button
    exports: tuple[gr.Button, gr.Button]
    teach: gr.Button  # shown to those who may
    words: gr.Textbox
    listed: gr.HTML
    held: gr.BrowserState


def build(opener: gr.Button) -> Archive:
    """The panel that `opener` opens and closes, over the columns."""
    current = gr.Textbox("", visible="hidden", label="Conversation", elem_id="conversation")
    with gr.Column(visible=False, elem_id="conversations") as panel:
        with gr.Row(elem_classes="actions", equal_height=True):
            name = gr.Textbox(
                show_label=False,
                container=False,
                placeholder="Name of this conversation",
                label="Name of this conversation",
                elem_id="conversation-name",
                min_width=220,
            )
            rename = gr.Button("Rename", size="sm", elem_id="rename-conversation")
            as_markdown = gr.Button("Markdown", size="sm", elem_id="conversation-markdown")
            as_json = gr.Button("JSON", size="sm", elem_id="conversation-json")
            teach = gr.Button("To training examples", size="sm", visible=False, elem_id="teach-conversation")
        words = gr.Textbox(
            show_label=False,
            container=False,
            placeholder="Search all conversations",
            label="Search all conversations",
            elem_id="search-conversations",
            max_length=SEARCHED,
        )
        listed = clickable_html("", "conversation-list")
    held = gr.BrowserState(None, storage_key="guanaco-conversations", secret=chat_settings.KEY)
    return Archive(current, opener, panel, name, rename, (as_markdown, as_json), teach, words, listed, held)


def wire(
    studio: Studio,
    archive: Archive,
    settings: ChatSettings,
    count: gr.Radio,
    blind_round: gr.State,
    adapters: list[gr.Dropdown],
    bots: list[gr.Chatbot],
    badges: list[gr.HTML],
    emptied: list[Any],
    empty: Callable[[], list[Any]],
    kept_after: list[Any],
    downloads: Downloads,
) -> None:
    """`empty` makes values of `emptied`, which clear the chat; `kept_after` are the events that end an answer."""
    current, held, listed = archive.current, archive.held, archive.listed

    def keep_it(
        request: gr.Request, known: str | None, kept: Any, words: str | None, shown: int, now: Round | None, *rest: Any
    ) -> list[Any]:
        """A blind round is kept once its names are known."""
        given, names, histories = rest[:5], rest[5 : 5 + COLUMNS], rest[5 + COLUMNS :]
        columns = [Column.of(names[i] or BASE, histories[i]) for i in range(shown)]
        if not any(column.messages for column in columns) or (now is not None and not now.voted):
            return [gr.skip()] * 4
        shelf = shelf_of(studio, request, kept)
        made = keep(shelf, Conversation.new(columns, dict(zip(NAMES, given, strict=True)), known or ""))
        tell_trouble(shelf)
        if dropped := getattr(shelf, "dropped", 0):
            gr.Info(f"Your browser has no more room: the {dropped} oldest conversations were let go.")
        return [made.id, made.name, remembered(shelf), listing(shelf, words, made.id)]

    def show(request: gr.Request, is_open: bool, known: str | None, kept: Any, words: str | None) -> list[Any]:
        shelf = shelf_of(studio, request, kept)
        return [not is_open, gr.Column(visible=not is_open), listing(shelf, words, known)]

    def search(request: gr.Request, known: str | None, kept: Any, words: str | None) -> str:
        return listing(shelf_of(studio, request, kept), words, known)

    def opened(person: User, found: Conversation) -> dict[Any, Any]:
        """The page with this conversation in its columns. A model that is gone leaves its column to the base."""
        learnt = [] if person.only_published else checkpoints.choices(studio.home)
        names = [BASE, *usable_adapters(studio, person)]
        there = {*names, *[value for _, value in learnt]}
        columns = found.columns[:COLUMNS]
        gone = sorted({each.model for each in columns} - there)
        if gone:
            gr.Info(f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} not here any more: the base goes on there.")
        news = dict(zip(emptied, empty(), strict=True))
        for i, each in enumerate(columns):
            news[bots[i]] = each.history()
            model = each.model if each.model in there else BASE
            news[adapters[i]] = gr.Dropdown(choices=[*names, *learnt], value=model, visible=True)
            said = [StreamedAnswer(model=one["model"], done=True) for one in each.messages if "model" in one]
            news[badges[i]] = badge(said[-1] if said else None, BASE)
        return {**news, count: max(1, len(columns)), current: found.id, archive.name: found.name}

    def open_it(request: gr.Request, kept: Any, words: str | None, event: gr.EventData) -> dict[Any, Any]:
        shelf = shelf_of(studio, request, kept)
        found = find(shelf, clicked_action(event)[1])
        given = dict(zip(settings.all, chat_settings.applied(found.settings), strict=True))
        return {**opened(user_of(request), found), **given, listed: listing(shelf, words, found.id)}

    def go_on(request: gr.Request, known: str | None, kept: Any) -> dict[Any, Any]:
        """After a reload: the conversation that was in this tab. Settings are remembered anyway."""
        found = next((each for each in shelf_of(studio, request, kept).all() if each.id == known), None)
        return opened(user_of(request), found) if found else {current: ""}

    def call(request: gr.Request, known: str | None, kept: Any, words: str | None, name: str | None) -> list[Any]:
        shelf = shelf_of(studio, request, kept)
        named = replace(find(shelf, known), name=" ".join((name or "").split())[:200])
        shelf.put(named)
        tell_trouble(shelf)
        return [named.name, remembered(shelf), listing(shelf, words, known)]

    def remove(request: gr.Request, known: str | None, kept: Any, words: str | None, event: gr.EventData) -> list[Any]:
        shelf = shelf_of(studio, request, kept)
        identity = clicked_action(event)[1]
        shelf.delete(identity)
        gone = identity == known  # it stays in the columns, and would be kept anew with the next answer
        return ["" if gone else known, remembered(shelf), listing(shelf, words, None if gone else known)]

    def markdown_file(request: gr.Request, known: str | None, kept: Any) -> str:
        found = this_one(shelf_of(studio, request, kept), known)
        return json.dumps([f"conversation-{found.id}.md", found.as_markdown()])

    def json_file(request: gr.Request, known: str | None, kept: Any) -> str:
        found = this_one(shelf_of(studio, request, kept), known)
        return json.dumps([f"conversation-{found.id}.json", found.as_json()])

    def teach(request: gr.Request, known: str | None, kept: Any) -> None:
        """Into the dataset of kept answers, every answer of the conversation being learnt."""
        found = this_one(shelf_of(studio, request, kept), known)
        if len(found.columns) > 1:
            raise UserError(
                f"This conversation has {len(found.columns)} columns, which answer the same questions differently.",
                "Choose the better answer with “Keep answer” beneath its column.",
            )
        messages = to_messages(found.columns[0].history(), found.settings.get("system"))
        answer = messages[-1]["content"] if messages else ""
        number, new = examples.keep(studio.home, examples.last_exchange(messages, answer, whole=True))
        gr.Info(
            f"{'Kept' if new else 'It was there already'}: the dataset “{examples.NAME}” has {number} "
            f"{'conversation' if number == 1 else 'conversations'}. See it on the Data page."
        )

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    at_once = {**quiet, "queue": False}
    is_open = gr.State(False)
    place = [current, held, archive.words]
    whole = [*place, count, blind_round, *settings.all, *adapters, *bots]
    results = [current, archive.name, held, listed]
    for event in kept_after:
        event.success(told(keep_it), whole, results, **at_once)
    archive.opener.click(told(show), [is_open, *place], [is_open, archive.panel, listed], **at_once)
    archive.words.change(told(search), place, listed, trigger_mode="always_last", **quiet)
    chat = list(dict.fromkeys([*emptied, *bots, *adapters, *badges, count, current, archive.name]))
    listed.select(told(open_it), [held, archive.words], [*chat, *settings.all, listed], **quiet)
    listed.click(told(remove), place, [current, held, listed], **quiet)
    gr.on(
        [archive.rename.click, archive.name.submit],
        told(call),
        [*place, archive.name],
        [archive.name, held, listed],
        **quiet,
    )
    downloads.on(archive.exports[0], markdown_file, [current, held])
    downloads.on(archive.exports[1], json_file, [current, held])
    archive.teach.click(told(teach), [current, held], None, **quiet)
    page = gr.context.Context.root_block
    assert page is not None, "the chat is built within the page"
    page.load(told(go_on), [current, held], chat, js=RECALL, **at_once)
    current.change(None, current, None, js=REMEMBER, **at_once)


def shelf_of(studio: Studio, request: gr.Request, kept: Any) -> Shelf:
    """On disk for whose home folder it is; whoever comes by the Hub has their conversations in their browser only."""
    if user_of(request).key in (LOCAL_OWNER.key, "owner"):
        return OnDisk(studio.home)
    return InBrowser(kept)


def tell_trouble(shelf: Shelf) -> None:
    if isinstance(shelf, OnDisk) and shelf.trouble:
        gr.Warning(shelf.trouble, title="Not kept yet")


def remembered(shelf: Shelf) -> Any:
    """What the browser is to keep."""
    return shelf.kept if isinstance(shelf, InBrowser) else gr.skip()


def this_one(shelf: Shelf, known: str | None) -> Conversation:
    if not known:
        raise UserError("There is no conversation yet.", "Ask something, or open one from the list.")
    return find(shelf, known)


def listing(shelf: Shelf, words: str | None, current: str | None) -> str:
    """The newest conversations that have all of `words`."""
    every = shelf.all()
    found = [each for each in every if each.has((words or "")[:SEARCHED])]
    lost = damage_in(shelf)
    if not found:
        return lost + (NONE_FOUND if every else NONE_YET)
    rows = "".join(_row(each, each.id == current) for each in found[:SHOWN])
    more = f"<p class='note'>{len(found) - SHOWN} older ones: search for them.</p>" if len(found) > SHOWN else ""
    return f'{lost}<ul class="talks">{rows}</ul>{more}'


def damage_in(shelf: Shelf) -> str:
    count = sum(1 for _ in damaged_files.aside(shelf.folder)) if isinstance(shelf, OnDisk) else 0
    if not count:
        return ""
    said = "1 damaged conversation is" if count == 1 else f"{count} damaged conversations are"
    return f"<p class='note'>{said} set aside in the folder of this studio: Settings says where and why.</p>"


def _row(each: Conversation, is_current: bool) -> str:
    models = ", ".join(dict.fromkeys(column.model for column in each.columns))
    title = escape(each.title)
    return (
        f"<li{' aria-current=true' if is_current else ''}>"
        f'<button class="link" data-look="open" data-value="{each.id}"><b>{title}</b></button>'
        f"<small>{escape(models)} · {_when(each.updated)}</small>"
        f'<button class="small" data-action="delete" data-value="{each.id}" aria-label="Delete {title}" '
        f'data-confirm="Delete this conversation?">Delete</button></li>'
    )


def _when(updated: str) -> str:
    try:
        return datetime.fromisoformat(updated).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""

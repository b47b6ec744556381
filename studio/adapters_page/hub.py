"""The Hub's part of the Adapters page: push the chosen adapter, pull one, see what has moved on upstream."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from adapters.hub.login import check_repo_id
from adapters.hub.pull import pull_adapter
from adapters.hub.push import push_adapter
from studio.adapters_page import import_files, push_preview, same_base, sample_answers
from studio.adapters_page.import_files import same_base_box
from studio.adapters_page.page import AdaptersPage, required, text
from studio.adapters_page.updates import News
from studio.auth.identity import LOCAL_OWNER, Role, User, user_of
from studio.auth.published import PublishedAdapters, check_may_use
from studio.context import Studio
from studio.ui.events import told
from studio.ui.failures import failure_slot, in_place
from studio.ui.fragments import render_table

PRIVATE, PUBLIC = "Private: only you can see it", "Public"
PROGRESS = gr.Progress()
# What people other than the owner may bring to the owner's disk.
USERS_BYTES = 1 << 30  # in one pull
USERS_ADAPTERS = 200  # that are here, whoever brought them


def build(studio: Studio, adapters: AdaptersPage) -> list[Any]:
    """Returns the events after which there are other adapters."""
    updates, troubles = adapters.updates, adapters.troubles
    with adapters.credentials, gr.Row(equal_height=True, elem_id="hub-access"):
        may = gr.HTML("", elem_id="hub-may")
        with gr.Accordion("Use another token", open=False, elem_id="another-token") as another:
            token = gr.Textbox(
                label="A token of yours",
                type="password",
                placeholder="left empty: who is signed in, or this studio's own token",
                info="From huggingface.co/settings/tokens; to push, with write access. Used once, never kept.",
                elem_id="push-token",
            )
    with adapters.push:
        repo_id = gr.Textbox(label="Repository", placeholder="you/name-of-the-adapter", elem_id="push-repo")
        visibility = gr.Radio([PRIVATE, PUBLIC], value=PRIVATE, label="Visibility", elem_id="push-visibility")
        with gr.Accordion("Message, tag, labels, pull request", open=False):
            message = gr.Textbox(label="What has changed", placeholder="written by itself", elem_id="push-message")
            tag = gr.Textbox(label="Tag for this version", placeholder="none, or such as v2", elem_id="push-tag")
            labels = gr.Textbox(label="Labels on the card", placeholder="pirate, english", elem_id="push-labels")
            proposed = gr.Checkbox(
                False,
                label="Propose it to somebody else's repository",
                info="As a pull request, which they can take or leave.",
                elem_id="push-proposed",
            )
        samples = gr.Checkbox(
            True,
            label="Sample answers on the card",
            info="Where there are none yet, the base and the adapter are asked a few questions first.",
            elem_id="push-samples",
        )
        with gr.Row():
            preview_button = gr.Button("Show what would be sent", elem_id="preview-push")
            push_button = gr.Button("Push", variant="primary", elem_id="push")
        push_failed = failure_slot("push-failed")
        pushed = gr.Markdown(elem_id="pushed")
        listed = gr.HTML("", elem_id="push-files")
        with gr.Accordion("The model card", open=True, visible=False, elem_id="push-card") as shown_card:
            metadata = gr.Code("", language="yaml", label="What the Hub reads", interactive=False, max_lines=8)
            card = gr.Markdown("", elem_id="push-card-text")
    with adapters.others:
        gr.HTML("<h2>Get another</h2>")
        with gr.Tabs(elem_id="other-adapters"):
            with gr.Tab("Pull from the Hub"):
                source = gr.Textbox(label="Repository", placeholder="somebody/some-adapter", elem_id="pull-repo")
                with gr.Row():
                    revision = gr.Textbox(label="Revision", placeholder="main", elem_id="pull-revision")
                    pull_name = gr.Textbox(label="Name here", placeholder="the repository's name", elem_id="pull-name")
                same = same_base_box("pull-same-base", visible=False)
                pull_button = gr.Button("Pull", elem_id="pull")
                pull_failed = failure_slot("pull-failed")
                pulled = gr.Markdown(elem_id="pulled")
            with gr.Tab("Import files", visible=False) as files:
                imported = import_files.build(studio)
            with gr.Tab("Newer upstream", visible=False) as newer:
                news = gr.HTML("", elem_id="updates")
                look_button = gr.Button("Look now", elem_id="look-for-updates")

    def arrive(request: gr.Request) -> list[Any]:
        person = user_of(request)
        buttons = [gr.Button(interactive=person.role >= Role.USER) for _ in range(3)]
        owner = person.role is Role.OWNER
        owners = [gr.Checkbox(visible=owner), *(gr.Tab(visible=owner) for _ in range(2))]
        # Who has signed in to nothing here can push with nothing else.
        asked = gr.Accordion(open=person.role is Role.USER and not person.hub_token)
        return [may_say(person), asked, *buttons, *owners]

    def notice(request: gr.Request) -> Any:
        return news_table(updates.look()) if user_of(request).role is Role.OWNER else gr.skip()

    def look() -> str:
        return news_table(updates.look(now=True))

    def preview(request: gr.Request, name: str | None, repo: str | None, visible: str, proposal: bool) -> list[Any]:
        name = required(name)
        check_may_use(studio, user_of(request), name)
        files, body, matter = push_preview.preview(
            studio.store, name, text(repo), private=visible != PUBLIC, pull_request=proposal
        )
        return [files, gr.Accordion(visible=True), matter, body]

    def push(
        request: gr.Request,
        name: str | None,
        repo: str | None,
        visible: str,
        given: str | None,
        proposal: bool = False,
        about: str | None = None,
        version: str | None = None,
        words: str | None = None,
        ask: bool = False,
        progress: gr.Progress = PROGRESS,
    ) -> list[Any]:
        name, person = required(name), user_of(request)
        check_may_use(studio, person, name)
        check_repo_id(text(repo))
        credentials = own_token(person, text(given))
        said = ""
        if ask:
            progress(0.0, desc="Asking the base and the adapter")
            said = f" With {sample_answers.fill_in(studio, name)}."
        if text(words) and person.role is Role.OWNER:
            studio.store.update(replace(studio.store.get(name), tags=split(text(words))))
        with troubles.noting(name, "The push") if person.role is Role.OWNER else nullcontext():
            result = push_adapter(
                studio.store,
                name,
                text(repo),
                private=visible != PUBLIC,
                token=credentials,
                message=text(about) or None,
                pull_request=proposal,
                tag=text(version) or None,
                remember=person.role is Role.OWNER,
                progress=lambda share, what: progress(share, desc=what),
            )
        files = "\n".join(f"- {file}" for file in result.files)
        what = "Nothing had changed in" if not result.changed else "Proposed to" if proposal else "Pushed"
        return [f"{what} [{text(repo)}]({result.url}) as commit `{result.revision[:10]}`.{said}\n{files}", ""]

    def pull(
        request: gr.Request,
        repo: str | None,
        wanted: str | None,
        given: str | None,
        commit: str | None = None,
        alike: bool = False,
        progress: gr.Progress = PROGRESS,
    ) -> list[Any]:
        person = user_of(request)
        check_room(studio, person)
        if alike and person.role is not Role.OWNER:
            raise UserError("Only the owner of this studio can say that two bases are the same.", "Ask the owner.")
        record = pull_adapter(
            studio.store,
            text(repo),
            revision=text(commit) or None,
            name=text(wanted) or None,
            token=own_token(person, text(given)),
            base=None if alike else same_base.base_here(studio),
            most_bytes=None if person.role is Role.OWNER else USERS_BYTES,
            progress=lambda share, what: progress(share, desc=what),
        )
        if person.only_published:
            PublishedAdapters(studio.home).set(record, True)  # otherwise who pulled it could not use it
        if alike:
            record = same_base.say_of_new(studio, record.name)
        at = f" at commit `{record.hub.revision[:10]}`" if record.hub else ""
        return [f"**{record.name}** is here{at}: chat with it.", ""]

    private: dict[str, Any] = {"api_visibility": "private"}
    quiet = private | {"show_progress": "hidden", "queue": False}
    arriving = [may, another, preview_button, push_button, pull_button, same, files, newer]
    gr.on(None, arrive, None, arriving, **quiet)
    gr.on(None, notice, None, news, **quiet)
    look_button.click(told(look), None, news, **private)
    previewed = [listed, shown_card, metadata, card, push_failed]
    asked = [adapters.chosen, repo_id, visibility, proposed]
    preview_button.click(in_place(preview, push_failed), asked, previewed, **private)
    settings = [adapters.chosen, repo_id, visibility, token, proposed, message, tag, labels, samples]
    return [
        push_button.click(in_place(push, push_failed, pushed), settings, [pushed, token, push_failed], **private),
        pull_button.click(
            in_place(pull, pull_failed, pulled),
            [source, pull_name, token, revision, same],
            [pulled, token, pull_failed],
            **private,
        ),
        *imported,
    ]


def may_say(person: User) -> str:
    """Who one is to the Hub here, what one may do, and who may do the rest."""
    if person.role < Role.USER:
        words = "As a visitor you can neither push nor pull. Who signs in can, with a token of their own."
    elif person.role is Role.USER:
        own = f"as <b>{escape(person.name)}</b>" if person.hub_token else "with a token that you type below"
        words = f"You push and pull {own}; adapters that are published here. The others are their owner's."
    else:
        own = (
            "with the token in HF_TOKEN"
            if os.environ.get("HF_TOKEN")
            else "with the login of <code>hf auth login</code>"
        )
        words = f"You push and pull {own}, unless you type another token."
        if person != LOCAL_OWNER:
            words += " Who signs in can use their own."
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if offline:
        words += " <b>Offline mode is on</b> (HF_HUB_OFFLINE): pull takes what is in the cache, and push is refused."
    return f"<p>{words}</p>"


def check_room(studio: Studio, person: User) -> None:
    """Raises UserError when only the owner may add one more adapter."""
    if person.role < Role.OWNER and len(studio.store.list()) >= USERS_ADAPTERS:
        raise UserError(
            f"There are {USERS_ADAPTERS} adapters here already.",
            "Only the owner of this studio can add more, or delete some.",
        )


def news_table(found: list[News]) -> str:
    if not found:
        return "<p>No adapter here came from the Hub or is there.</p>"
    rows = [(each.name, each.repo_id, each.here[:10], standing(each)) for each in found]
    hint = "<p>Nothing is updated by itself: pull it under another name.</p>" if any(e.newer for e in found) else ""
    return f"{render_table(('Adapter', 'Repository', 'Commit here', 'Upstream'), rows)}{hint}"


def standing(news: News) -> str:
    return news.error or (f"newer: {news.newer[:10]}" if news.newer else "the same")


def split(words: str) -> list[str]:
    return [each.strip() for each in words.split(",") if each.strip()]


def own_token(person: User, given: str) -> str | None:
    """The token that was typed, else the one from signing in; None, so this studio's own, only for the owner.

    Raises UserError for anybody else who has none.
    """
    token = given or person.hub_token
    if token is None and person.role < Role.OWNER:
        raise UserError("This studio's own token is its owner's.", "Sign in, or type a token of yours.")
    return None if person.role is Role.OWNER and not given else token

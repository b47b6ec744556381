"""The Hub's part of the Adapters tab: push the chosen adapter, pull one, see what has moved on upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.adapters_page import hub_handlers
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.hub_handlers import PRIVATE, PUBLIC
from studio.adapters_page.import_files import same_base_box
from studio.adapters_page.updates import Updates
from studio.context import Studio
from studio.ui.events import bind, bind_silently
from studio.ui.failures import bind_in_place, failure_slot


@dataclass(frozen=True)
class HubAccess:
    """Who the user is to the Hub, and another token to use instead."""

    text: gr.HTML
    token_box: gr.Accordion
    token: gr.Textbox


@dataclass(frozen=True)
class PushForm:
    repo_id: gr.Textbox
    visibility: gr.Radio
    message: gr.Textbox
    tag: gr.Textbox
    labels: gr.Textbox
    proposed: gr.Checkbox
    samples: gr.Checkbox
    preview_button: gr.Button
    push_button: gr.Button
    failed: gr.HTML
    done: gr.Markdown
    files: gr.HTML
    card_box: gr.Accordion
    metadata: gr.Code
    card: gr.Markdown


@dataclass(frozen=True)
class PullForm:
    repo_id: gr.Textbox
    revision: gr.Textbox
    name: gr.Textbox
    same_base: gr.Checkbox
    button: gr.Button
    failed: gr.HTML
    done: gr.Markdown


@dataclass(frozen=True)
class UpdateList:
    table: gr.HTML
    button: gr.Button


def build_access() -> HubAccess:
    with gr.Column(), gr.Row(equal_height=True, elem_id="hub-access"):
        text = gr.HTML("", elem_id="hub-may")
        with gr.Accordion("Use another token", open=False, elem_id="another-token") as token_box:
            token = gr.Textbox(
                label="A token of yours",
                type="password",
                placeholder="left empty: who is signed in, or this studio's own token",
                info="From huggingface.co/settings/tokens; to push, with write access. Used once, never kept.",
                elem_id="push-token",
            )
    return HubAccess(text, token_box, token)


def build_push() -> PushForm:
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
    failed = failure_slot("push-failed")
    done = gr.Markdown(elem_id="pushed")
    files = gr.HTML("", elem_id="push-files")
    with gr.Accordion("The model card", open=True, visible=False, elem_id="push-card") as card_box:
        metadata = gr.Code("", language="yaml", label="What the Hub reads", interactive=False, max_lines=8)
        card = gr.Markdown("", elem_id="push-card-text")
    return PushForm(
        repo_id, visibility, message, tag, labels, proposed, samples, preview_button, push_button, failed, done, files,
        card_box, metadata, card,
    )  # fmt: skip


def build_pull() -> PullForm:
    repo_id = gr.Textbox(label="Repository", placeholder="somebody/some-adapter", elem_id="pull-repo")
    with gr.Row():
        revision = gr.Textbox(label="Revision", placeholder="main", elem_id="pull-revision")
        name = gr.Textbox(label="Name here", placeholder="the repository's name", elem_id="pull-name")
    same_base = same_base_box("pull-same-base", visible=False)
    button = gr.Button("Pull", elem_id="pull")
    return PullForm(
        repo_id, revision, name, same_base, button, failure_slot("pull-failed"), gr.Markdown(elem_id="pulled")
    )


def build_updates() -> UpdateList:
    return UpdateList(gr.HTML("", elem_id="updates"), gr.Button("Look now", elem_id="look-for-updates"))


def connect(
    studio: Studio,
    chosen: gr.Dropdown,
    access: HubAccess,
    push: PushForm,
    pull: PullForm,
    update_list: UpdateList,
    owner_tabs: tuple[gr.Tab, gr.Tab],
    updates: Updates,
    failures: AdapterFailures,
) -> list[Any]:
    """owner_tabs: shown to the owner alone. Returns the events after which there are other adapters."""
    private: dict[str, Any] = {"api_visibility": "private"}
    quiet = private | {"show_progress": "hidden", "queue": False}
    buttons = [push.preview_button, push.push_button, pull.button]
    allowed = [access.text, access.token_box, *buttons, pull.same_base, *owner_tabs]
    gr.on(None, bind_silently(hub_handlers.show_access), None, allowed, **quiet)
    gr.on(None, bind_silently(hub_handlers.show_updates, updates), None, update_list.table, **quiet)
    update_list.button.click(bind(hub_handlers.check_updates, updates), None, update_list.table, **private)
    push.preview_button.click(
        bind_in_place(hub_handlers.show_push_preview, studio, failed=push.failed),
        [chosen, push.repo_id, push.visibility, push.proposed],
        [push.files, push.card_box, push.metadata, push.card, push.failed],
        **private,
    )
    pushed = push.push_button.click(
        bind_in_place(hub_handlers.push_to_hub, studio, failures, failed=push.failed, done=push.done),
        [chosen, push.repo_id, push.visibility, access.token, push.proposed, push.message, push.tag, push.labels,
         push.samples],
        [push.done, access.token, push.failed],
        **private,
    )  # fmt: skip
    pulled = pull.button.click(
        bind_in_place(hub_handlers.pull_from_hub, studio, failed=pull.failed, done=pull.done),
        [pull.repo_id, pull.name, access.token, pull.revision, pull.same_base],
        [pull.done, access.token, pull.failed],
        **private,
    )
    return [pushed, pulled]

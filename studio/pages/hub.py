"""The Hub's part of the Adapters page: push the chosen adapter, pull one."""

from __future__ import annotations

from typing import Any

import gradio as gr

from adapters import hub
from core.errors import UserError
from studio.context import Studio
from studio.pages.adapters import required, text
from studio.pages.telling import told
from studio.people import Person, Role, person_of
from studio.published import Published, check_may_use

PROGRESS = gr.Progress()


def build(studio: Studio, chosen: gr.Dropdown) -> None:
    """`chosen` holds the name of the adapter to push. The page's tick shows what was pulled among the others."""
    with gr.Row():
        with gr.Column():
            gr.Markdown("### Push to the Hub")
            repo_id = gr.Textbox(label="Repository", placeholder="user/my-adapter", elem_id="push-repo")
            public = gr.Checkbox(False, label="Public (otherwise only you can see it)", elem_id="push-public")
            token = gr.Textbox(
                label="Token with write access",
                type="password",
                placeholder="left empty: HF_TOKEN, or the login of huggingface-cli",
                info="Used for this push only; never stored or logged.",
                elem_id="push-token",
            )
            push_button = gr.Button("Push", variant="primary", elem_id="push")
            pushed = gr.Markdown(elem_id="pushed")
        with gr.Column():
            gr.Markdown("### Pull from the Hub")
            source = gr.Textbox(label="Repository", placeholder="user/some-adapter", elem_id="pull-repo")
            pull_name = gr.Textbox(label="Name here", placeholder="the repository's name", elem_id="pull-name")
            pull_button = gr.Button("Pull", elem_id="pull")
            pulled = gr.Markdown(elem_id="pulled")

    def push(
        request: gr.Request,
        name: str | None,
        repo: str | None,
        is_public: bool,
        given: str | None,
        progress: gr.Progress = PROGRESS,
    ) -> list[Any]:
        name, person = required(name), person_of(request)
        check_may_use(studio, person, name)
        result = hub.push(
            studio.store,
            name,
            text(repo),
            private=not is_public,
            token=own_token(person, text(given)),
            progress=lambda share, what: progress(share, desc=what),
        )
        files = "\n".join(f"- {file}" for file in result.files)
        return [f"Pushed [{text(repo)}]({result.url}) as commit `{result.revision[:10]}`:\n{files}", ""]

    def pull(
        request: gr.Request,
        repo: str | None,
        wanted: str | None,
        given: str | None,
        progress: gr.Progress = PROGRESS,
    ) -> list[Any]:
        person = person_of(request)
        record = hub.pull(
            studio.store,
            text(repo),
            name=text(wanted) or None,
            token=own_token(person, text(given)),
            base_id=studio.engine.status.base or None,
            progress=lambda share, what: progress(share, desc=what),
        )
        if person.only_published:
            Published(studio.home).set(record, True)  # otherwise who pulled it could not use it
        return [f"**{record.name}** is here: chat with it.", ""]

    private: dict[str, Any] = {"api_visibility": "private"}
    push_button.click(told(push), [chosen, repo_id, public, token], [pushed, token], **private)
    pull_button.click(told(pull), [source, pull_name, token], [pulled, token], **private)


def own_token(person: Person, given: str) -> str | None:
    """The token that was typed, else the one from signing in; None, so this studio's own, only for the owner.

    Raises UserError for anybody else who has none.
    """
    token = given or person.hub_token
    if token is None and person.role < Role.OWNER:
        raise UserError("This studio's own token is its owner's.", "Sign in, or type a token of yours.")
    return None if person.role is Role.OWNER and not given else token

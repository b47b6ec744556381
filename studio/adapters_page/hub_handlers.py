"""What happens on the Adapters tab with the Hub: push, pull, what a push would send, what is newer upstream."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from adapters.hub.login import check_repo_id
from adapters.hub.pull import pull_adapter
from adapters.hub.push import push_adapter
from studio.adapters_page import same_base
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.handlers import required_name, split_tags, text_of
from studio.adapters_page.push_preview import preview_push
from studio.adapters_page.sample_answers import add_sample_answers
from studio.adapters_page.updates import Updates
from studio.adapters_page.view import render_hub_access, render_updates
from studio.auth.identity import Role, User, user_of
from studio.auth.permissions import requires
from studio.auth.published import PublishedAdapters, check_may_use
from studio.context import Studio

PRIVATE, PUBLIC = "Private: only you can see it", "Public"
PROGRESS = gr.Progress()
# What users other than the owner may bring to the owner's disk.
USERS_BYTES = 1 << 30  # in one pull
USERS_ADAPTERS = 200  # adapters in the store, whoever brought them


@requires(Role.VISITOR)
def show_access(request: gr.Request) -> list[Any]:
    """What the user may do with the Hub: text, token box, three buttons, and three parts that are the owner's."""
    user = user_of(request)
    is_owner = user.role is Role.OWNER
    buttons = [gr.Button(interactive=user.role >= Role.USER) for _ in range(3)]
    owners = [gr.Checkbox(visible=is_owner), *(gr.Tab(visible=is_owner) for _ in range(2))]
    # A user who has not signed in to the Hub can push with nothing but a token that they type.
    token_box = gr.Accordion(open=user.role is Role.USER and not user.hub_token)
    return [render_hub_access(user), token_box, *buttons, *owners]


@requires(Role.VISITOR)
def show_updates(updates: Updates, request: gr.Request) -> Any:
    return render_updates(updates.check()) if user_of(request).role is Role.OWNER else gr.skip()


@requires(Role.OWNER)
def check_updates(updates: Updates) -> str:
    return render_updates(updates.check(now=True))


@requires(Role.USER)
def show_push_preview(
    studio: Studio, request: gr.Request, name: str | None, repo_id: str | None, visibility: str, proposed: bool
) -> list[Any]:
    name = required_name(name)
    check_may_use(studio, user_of(request), name)
    files, card, metadata = preview_push(
        studio.store, name, text_of(repo_id), private=visibility != PUBLIC, pull_request=proposed
    )
    return [files, gr.Accordion(visible=True), metadata, card]


@requires(Role.USER, counted=True)
def push_to_hub(
    studio: Studio,
    failures: AdapterFailures,
    request: gr.Request,
    name: str | None,
    repo_id: str | None,
    visibility: str,
    typed_token: str | None,
    proposed: bool = False,
    message: str | None = None,
    tag: str | None = None,
    labels: str | None = None,
    with_samples: bool = False,
    progress: gr.Progress = PROGRESS,
) -> list[Any]:
    name, repo_id, user = required_name(name), text_of(repo_id), user_of(request)
    is_owner = user.role is Role.OWNER
    check_may_use(studio, user, name)
    check_repo_id(repo_id)
    token = token_for(user, text_of(typed_token))
    samples = ""
    if with_samples:
        progress(0.0, desc="Asking the base and the adapter")
        samples = f" With {add_sample_answers(studio, name)}."
    if text_of(labels) and is_owner:
        studio.store.update(replace(studio.store.get(name), tags=split_tags(text_of(labels))))
    with failures.recording(name, "The push") if is_owner else nullcontext():
        result = push_adapter(
            studio.store,
            name,
            repo_id,
            private=visibility != PUBLIC,
            token=token,
            message=text_of(message) or None,
            pull_request=proposed,
            tag=text_of(tag) or None,
            remember=is_owner,
            progress=lambda share, what: progress(share, desc=what),
        )
    files = "\n".join(f"- {file}" for file in result.files)
    outcome = "Nothing had changed in" if not result.changed else "Proposed to" if proposed else "Pushed"
    return [f"{outcome} [{repo_id}]({result.url}) as commit `{result.revision[:10]}`.{samples}\n{files}", ""]


@requires(Role.USER, counted=True)
def pull_from_hub(
    studio: Studio,
    request: gr.Request,
    repo_id: str | None,
    name: str | None,
    typed_token: str | None,
    revision: str | None = None,
    is_same_base: bool = False,
    progress: gr.Progress = PROGRESS,
) -> list[Any]:
    user = user_of(request)
    check_room(studio, user)
    if is_same_base and user.role is not Role.OWNER:
        raise UserError("Only the owner of this studio can say that two bases are the same.", "Ask the owner.")
    record = pull_adapter(
        studio.store,
        text_of(repo_id),
        revision=text_of(revision) or None,
        name=text_of(name) or None,
        token=token_for(user, text_of(typed_token)),
        base=None if is_same_base else same_base.serving_base(studio),
        most_bytes=None if user.role is Role.OWNER else USERS_BYTES,
        progress=lambda share, what: progress(share, desc=what),
    )
    if user.only_published:
        PublishedAdapters(studio.home).set(record, True)  # otherwise who pulled it could not use it
    if is_same_base:
        record = same_base.declare_for_new_adapter(studio, record.name)
    commit = f" at commit `{record.hub.revision[:10]}`" if record.hub else ""
    return [f"**{record.name}** is here{commit}: chat with it.", ""]


def check_room(studio: Studio, user: User) -> None:
    """Raises UserError when only the owner may add one more adapter."""
    if user.role < Role.OWNER and len(studio.store.list()) >= USERS_ADAPTERS:
        raise UserError(
            f"There are {USERS_ADAPTERS} adapters here already.",
            "Only the owner of this studio can add more, or delete some.",
        )


def token_for(user: User, typed: str) -> str | None:
    """The token that was typed, else the one from signing in; None, which is this studio's own, only for the owner.

    Raises UserError for anybody else who has none.
    """
    token = typed or user.hub_token
    if token is None and user.role < Role.OWNER:
        raise UserError("This studio's own token is its owner's.", "Sign in, or type a token of yours.")
    return None if user.role is Role.OWNER and not typed else token

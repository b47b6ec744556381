"""Pushing the votes to the Hub, as a dataset. For the owner."""

from __future__ import annotations

import gradio as gr

from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.compare import push
from studio.context import Studio
from studio.ui.failures import bind_in_place, failure_slot

PROGRESS = gr.Progress()


def build(studio: Studio) -> None:
    with gr.Accordion("Push them to the Hub as a preference dataset", open=False, elem_id="votes-to-hub"):
        gr.Markdown("Pairs of answers as TRL's DPOTrainer takes them, and all votes; who voted is not sent.")
        with gr.Row():
            repo_id = gr.Textbox(label="Dataset repository", placeholder="you/votes", elem_id="votes-repo")
            public = gr.Checkbox(False, label="Public", elem_id="votes-public")
        button = gr.Button("Push the votes", size="sm", elem_id="push-votes")
        failed = failure_slot("votes-failed")
        done = gr.Markdown("", elem_id="votes-pushed")
    button.click(
        bind_in_place(push_votes, studio, failed=failed, done=done),
        [repo_id, public],
        [done, failed],
        api_visibility="private",
    )


@requires(Role.OWNER)
def push_votes(studio: Studio, repo_id: str | None, public: bool, progress: gr.Progress = PROGRESS) -> str:
    repo_id = (repo_id or "").strip()
    result = push.push_votes(
        studio.home, repo_id, private=not public, progress=lambda share, what: progress(share, desc=what)
    )
    kind = "private" if result.private else "public"
    state = f"commit `{result.revision[:10]}`" if result.changed else "nothing had changed"
    return f"The votes are at [{repo_id}]({result.url}) ({kind}, {state})."

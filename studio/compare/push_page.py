"""The votes to the Hub, as a dataset. The owner's."""

from __future__ import annotations

import gradio as gr

from studio.compare import push as votes_push
from studio.context import Studio
from studio.ui.failures import failure_slot, in_place

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

    def push(repo: str | None, visible: bool, progress: gr.Progress = PROGRESS) -> str:
        repo = (repo or "").strip()
        result = votes_push.push(
            studio.home, repo, private=not visible, progress=lambda share, what: progress(share, desc=what)
        )
        kind = "private" if result.private else "public"
        state = f"commit `{result.revision[:10]}`" if result.changed else "nothing had changed"
        return f"The votes are at [{repo}]({result.url}) ({kind}, {state})."

    button.click(in_place(push, failed, done), [repo_id, public], [done, failed], api_visibility="private")

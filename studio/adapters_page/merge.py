"""Merge: the chosen adapter written into its base's weights, to use without PEFT or to push as a model. The owner's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from adapters.hub.login import check_repo_id
from adapters.hub.merged_model import push_merged
from core.models.base import resolve
from studio.adapters_page import merged_models, same_base
from studio.adapters_page.failures import Troubles
from studio.auth.identity import LOCAL_OWNER, user_of
from studio.context import Studio
from studio.ui.failures import failure_slot, in_place

ABOUT = (
    "Full weights in the base's own precision, as safetensors, for programs that know nothing of adapters. "
    "For llama.cpp or Ollama: `convert_hf_to_gguf.py FOLDER` of llama.cpp makes a GGUF file of the folder."
)
PROGRESS = gr.Progress()


def build(studio: Studio, chosen: gr.Dropdown, troubles: Troubles) -> list[Any]:
    """Returns the events after which cards are not what they were."""
    gr.Markdown(ABOUT)
    with gr.Row():
        repo_id = gr.Textbox(
            label="Repository for the merged model", placeholder="you/name-merged", elem_id="merged-repo"
        )
        public = gr.Checkbox(False, label="Public", elem_id="merged-public")
    with gr.Row(elem_classes="actions"):
        merge_button = gr.Button("Merge", size="sm", elem_id="merge")
        push_button = gr.Button("Merge and push", size="sm", elem_id="push-merged")
    failed = failure_slot("merge-failed")
    done = gr.Markdown("", elem_id="merged")

    def merge(request: gr.Request, name: str | None, progress: gr.Progress = PROGRESS) -> str:
        folder = made(name, progress)
        where = f"in `{folder}`" if user_of(request) == LOCAL_OWNER else "in the studio's cache"
        return f"**{name}** is merged, {where}: [download it as a zip](/adapters/{name}/merged.zip)."

    def push(name: str | None, repo: str | None, visible: bool, progress: gr.Progress = PROGRESS) -> str:
        repo = (repo or "").strip()
        check_repo_id(repo)
        folder = made(name, progress)
        assert name
        with troubles.noting(name, "Pushing the merged model"):
            record = studio.store.get(name)
            result = push_merged(
                folder,
                replace(record, base_model=resolve(same_base.base_of(studio, record)).id),
                repo,
                private=not visible,
                progress=lambda share, what: progress(share, desc=what),
            )
        what = "Pushed" if result.changed else "Nothing had changed in"
        kind = "private" if result.private else "public"
        return f"{what} [{repo}]({result.url}) ({kind}) as commit `{result.revision[:10]}`."

    def made(name: str | None, progress: gr.Progress) -> Path:
        if not name:
            raise UserError("No adapter is chosen.", "Choose one in the list above first.")
        record = studio.store.get(name)
        target = merged_models.folder_of(studio.home, name)
        if not merged_models.is_there(studio.home, record):
            with troubles.noting(name, "Merging"):
                merged_models.make(
                    studio.store.path(name),
                    same_base.base_of(studio, record),
                    target,
                    lambda share, what: progress(share, desc=what),
                )
        return target

    private: dict[str, Any] = {"api_visibility": "private"}
    return [
        merge_button.click(in_place(merge, failed, done), chosen, [done, failed], **private),
        push_button.click(in_place(push, failed, done), [chosen, repo_id, public], [done, failed], **private),
    ]

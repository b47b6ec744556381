"""Merge: the chosen adapter written into its base's weights, to use without PEFT or to push as a model. The owner's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from adapters.hub.login import check_repo_id
from adapters.hub.merged_model import push_merged
from core.models.base import resolve
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.handlers import required_name, text_of
from studio.adapters_page.merged_models import is_merged, make_merged_model, merged_folder
from studio.adapters_page.same_base import local_base_of
from studio.auth.identity import LOCAL_OWNER, Role, user_of
from studio.auth.permissions import requires
from studio.context import Studio
from studio.ui.failures import bind_in_place, failure_slot

ABOUT = (
    "Full weights in the base's own precision, as safetensors, for programs that know nothing of adapters. "
    "For llama.cpp or Ollama: `convert_hf_to_gguf.py FOLDER` of llama.cpp makes a GGUF file of the folder."
)
PROGRESS = gr.Progress()


def build(studio: Studio, chosen: gr.Dropdown, failures: AdapterFailures) -> list[Any]:
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

    private: dict[str, Any] = {"api_visibility": "private"}
    merge = bind_in_place(merge_adapter, studio, failures, failed=failed, done=done)
    push = bind_in_place(push_merged_model, studio, failures, failed=failed, done=done)
    return [
        merge_button.click(merge, chosen, [done, failed], **private),
        push_button.click(push, [chosen, repo_id, public], [done, failed], **private),
    ]


@requires(Role.OWNER)
def merge_adapter(
    studio: Studio,
    failures: AdapterFailures,
    request: gr.Request,
    name: str | None,
    progress: gr.Progress = PROGRESS,
) -> str:
    folder = merge_unless_merged(studio, failures, required_name(name), progress)
    where = f"in `{folder}`" if user_of(request) == LOCAL_OWNER else "in the studio's cache"
    return f"**{name}** is merged, {where}: [download it as a zip](/adapters/{name}/merged.zip)."


@requires(Role.OWNER)
def push_merged_model(
    studio: Studio,
    failures: AdapterFailures,
    name: str | None,
    repo_id: str | None,
    public: bool,
    progress: gr.Progress = PROGRESS,
) -> str:
    repo_id = check_repo_id(text_of(repo_id))
    name = required_name(name)
    folder = merge_unless_merged(studio, failures, name, progress)
    with failures.recording(name, "Pushing the merged model"):
        record = studio.store.get(name)
        result = push_merged(
            folder,
            replace(record, base_model=resolve(local_base_of(studio, record)).id),
            repo_id,
            private=not public,
            progress=lambda share, what: progress(share, desc=what),
        )
    outcome = "Pushed" if result.changed else "Nothing had changed in"
    kind = "private" if result.private else "public"
    return f"{outcome} [{repo_id}]({result.url}) ({kind}) as commit `{result.revision[:10]}`."


def merge_unless_merged(studio: Studio, failures: AdapterFailures, name: str, progress: gr.Progress) -> Path:
    """The folder with the merged weights, which are made unless those of this adapter are there already."""
    record = studio.store.get(name)
    target = merged_folder(studio.home, name)
    if not is_merged(studio.home, record):
        with failures.recording(name, "Merging"):
            make_merged_model(
                studio.store.path(name),
                local_base_of(studio, record),
                target,
                lambda share, what: progress(share, desc=what),
            )
    return target

"""A merged model (an adapter written into its base's weights) as a repository of its own on the Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from adapters.bases import is_on_hub, to_shareable_id
from adapters.cards.adapter_card import base_and_datasets
from adapters.cards.rendering import render_card
from adapters.common.errors import UserError
from adapters.folder_layout import CARD_FILE
from adapters.hub.files import push_files
from adapters.hub.progress import Progress, no_progress
from adapters.hub.repository import PushResult
from adapters.record import AdapterRecord

REPLACED = ("*.safetensors", "*.safetensors.index.json")


def push_merged(
    folder: Path,
    record: AdapterRecord,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    progress: Progress = no_progress,
) -> PushResult:
    """Upload the merged model in `folder`, which was made from the adapter of `record`. Raises UserError."""
    return push_files(
        repo_id,
        merged_files(folder, record, repo_id),
        repo_type="model",
        marker="config.json",
        replaced=REPLACED,
        message=f"{record.name}, merged into {to_shareable_id(record.base_model)}",
        private=private,
        token=token,
        progress=progress,
    )


def merged_files(folder: Path, record: AdapterRecord, repo_id: str) -> dict[str, Path | bytes]:
    """Path in the repository -> file or content: the merged model in `folder`, and its card. Raises UserError."""
    files: dict[str, Path | bytes] = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    if "config.json" not in files or not any(name.endswith(".safetensors") for name in files):
        raise UserError(f"{folder} is no merged model.", "Merge the adapter first.")
    files[CARD_FILE] = render_merged_card(record, repo_id).encode()
    return files


def render_merged_card(record: AdapterRecord, repo_id: str) -> str:
    """The README.md of a merged model."""
    base = to_shareable_id(record.base_model)
    data = ModelCardData(
        **base_and_datasets(record, relation="finetune"),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["merged", "guanaco-studio", *record.tags],
    )
    return render_card(
        ModelCard,
        data,
        "merged_model.md.jinja",
        repo_id=repo_id,
        repo_name=repo_id.split("/")[-1],
        base=base,
        base_on_hub=is_on_hub(base),
        adapter_name=record.name,
        adapter_repo=record.hub.repo_id if record.hub else None,
    )

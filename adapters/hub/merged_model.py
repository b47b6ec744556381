"""A merged model (an adapter written into its base's weights) as a repository of its own on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from adapters.bases import shared_base
from adapters.cards.adapter_card import is_on_hub
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
        message=f"{record.name}, merged into {shared_base(record.base_model)}",
        private=private,
        token=token,
        progress=progress,
    )


def merged_files(folder: Path, record: AdapterRecord, repo_id: str) -> dict[str, Path | bytes]:
    """Path in the repository -> file or content: the merged model in `folder`, and its card. Raises UserError."""
    files: dict[str, Path | bytes] = {each.name: each for each in sorted(folder.iterdir()) if each.is_file()}
    if "config.json" not in files or not any(name.endswith(".safetensors") for name in files):
        raise UserError(f"{folder} is no merged model.", "Merge the adapter first.")
    files[CARD_FILE] = merged_card(record, repo_id).encode()
    return files


def merged_card(record: AdapterRecord, repo_id: str) -> str:
    """The README.md of a merged model."""
    base = shared_base(record.base_model)
    values: dict[str, Any] = {}
    if is_on_hub(base):
        values |= {"base_model": base, "base_model_relation": "finetune"}
    values |= {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if record.dataset and record.dataset.source == "hub" and is_on_hub(record.dataset.name):
        values["datasets"] = [record.dataset.name]
    values["tags"] = list(dict.fromkeys(["merged", "guanaco-studio", *record.tags]))
    matter = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    on = f"[{base}](https://huggingface.co/{base})" if is_on_hub(base) else f"`{base}`"
    adapter = f"[{record.hub.repo_id}](https://huggingface.co/{record.hub.repo_id})" if record.hub else record.name
    return (
        f"---\n{matter}---\n\n# {repo_id.split('/')[-1]}\n\n"
        f"These are the weights of {on} with the LoRA adapter {adapter} written into them (W + scaling · B·A, "
        "calculated in fp32 and rounded once). They need neither PEFT nor the adapter; the base's own limits and "
        "licence apply.\n\n"
        f'```python\nfrom transformers import pipeline\n\nchat = pipeline("text-generation", model="{repo_id}")\n'
        'print(chat([{"role": "user", "content": "Hello!"}], max_new_tokens=200)[0]["generated_text"][-1])\n```\n'
    )

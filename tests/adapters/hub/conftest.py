"""An adapter to push, and repositories to pull from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.record import AdapterRecord, DatasetRef
from adapters.store import AdapterStore
from core.common.home import Home
from tests.adapters.folders import write_adapter

FILES = [
    "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
    "tensorboard/events.out.tfevents.1.host.2.0", "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip


@pytest.fixture
def store(home: Home) -> AdapterStore:
    store = AdapterStore(home.adapters)
    with store.staging() as stage:
        folder = write_adapter(stage / "adapter")
        (folder / "training_args.bin").write_bytes(b"pickle")
        (folder / "notes.txt").write_text("private")
        record = AdapterRecord(
            "pirate",
            "guanaco-builtin",
            base_fingerprint="f00d",
            dataset=DatasetRef("pirate", "bundled", sha256="abc", conversations=300),
            recipe={"dataset_name": "pirate", "lora_r": 4, "learning_rate": 2e-4},
            steps=80,
            train_loss=0.5,
        )
        store.add("pirate", folder, record)
    return store


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.hub.retry.WAITS", (0.0, 0.0, 0.0))


def snapshot(store: AdapterStore) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def adapter_files(tmp_path: Path, **changes: Any) -> dict[str, bytes]:
    """The files of an adapter made elsewhere, as they lie in a repository."""
    folder = write_adapter(tmp_path / "elsewhere", **changes)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

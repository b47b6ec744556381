"""Merged models and datasets on the Hub, and what a new version's commit says has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from adapters.hub.files import push_files
from adapters.hub.merged_model import push_merged
from adapters.hub.transfer import push
from adapters.record import AdapterRecord, DatasetRef, HubRef
from adapters.store import AdapterStore
from core.common.home import Home
from tests.adapters.folders import write_adapter
from tests.hub_server.fixtures import Hub

RECORD = AdapterRecord("pirate", "Qwen/Qwen2.5-1.5B-Instruct", hub=HubRef("ada/pirate", "0" * 40))


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    folder = tmp_path / "merged"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"one")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"two")
    return folder


def test_merged_weights_become_a_model_of_their_own(hub: Hub, merged: Path) -> None:
    hub.login("hf_ada")
    result = push_merged(merged, RECORD, "ada/pirate-merged")
    assert result.private and hub.repo("ada/pirate-merged").private
    card = hub.read("ada/pirate-merged", "README.md").decode()
    assert "base_model: Qwen/Qwen2.5-1.5B-Instruct" in card
    assert "base_model_relation: finetune" in card
    assert "ada/pirate" in card
    for shard in merged.glob("*.safetensors"):
        shard.unlink()
    (merged / "model.safetensors").write_bytes(b"both")
    push_merged(merged, RECORD, "ada/pirate-merged")
    files = hub.head("ada/pirate-merged").files
    assert "model.safetensors" in files
    assert "model-00001-of-00002.safetensors" not in files, "what the version before had is gone"


def test_merged_weights_do_not_go_where_an_adapter_is(hub: Hub, merged: Path, tmp_path: Path) -> None:
    hub.login("hf_ada")
    hub.make_repo("ada/pirate", {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})
    with pytest.raises(UserError, match="holds something else"):
        push_merged(merged, RECORD, "ada/pirate")
    with pytest.raises(UserError, match="no merged model"):
        push_merged(tmp_path, RECORD, "ada/other")
    with pytest.raises(UserError, match="you are ada"):
        push_merged(merged, RECORD, "bob/pirate")


def test_a_dataset_repository_is_private_and_stays_a_dataset(hub: Hub) -> None:
    hub.login("hf_ada")

    def send(private: bool, content: bytes) -> bool:
        files = {"preferences.jsonl": content}
        how = {"repo_type": "dataset", "marker": "preferences.jsonl", "replaced": (), "message": "Votes"}
        return push_files("ada/votes", files, private=private, **how).changed

    assert send(True, b"{}\n")
    assert hub.repo("ada/votes", "dataset").private
    assert not send(True, b"{}\n")
    assert send(True, b"{}\n{}\n")


def test_a_commit_says_what_has_changed(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    store = AdapterStore(home.adapters)
    store.import_folder(write_adapter(tmp_path / "lora"), "pirate")
    first = replace(
        store.get("pirate"),
        steps=40,
        eval_loss=1.5,
        dataset=DatasetRef("pirate", "bundled", sha256="a" * 64),
        recipe={"dataset_name": "pirate", "learning_rate": 2e-4},
    )
    store.update(first)
    push(store, "pirate", "ada/pirate")
    assert hub.head("ada/pirate").title.startswith("Add the adapter pirate: 40 steps")
    second = replace(store.get("pirate"), steps=120, eval_loss=0.75, recipe=first.recipe | {"learning_rate": 1e-4})
    store.update(second)
    push(store, "pirate", "ada/pirate")
    head = hub.head("ada/pirate")
    assert (
        head.title
        == "Update the adapter pirate: steps 40 → 120, evaluation loss 1.5 → 0.75, learning_rate 0.0002 → 0.0001"
    )
    assert "Changed since the version before" in head.description
    assert "dataset:" in head.description
    assert "- dataset" not in head.description, "that is the same"


def test_an_uploaded_folder_keeps_what_its_card_says(home: Home, tmp_path: Path) -> None:
    from adapters.hub.transfer import files_to_push

    store = AdapterStore(home.adapters)
    store.import_folder(write_adapter(tmp_path / "lora"), "pirate")
    store.update(replace(store.get("pirate"), steps=40, note="Talks like a pirate."))
    copy = tmp_path / "copy"
    (copy / "tensorboard").mkdir(parents=True)
    for path, content in files_to_push(store, "pirate", "ada/pirate").items():
        (copy / path).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    back = store.import_folder(copy, "back")
    assert (back.steps, back.note) == (40, "Talks like a pirate.")

"""Merged weights as a model repository of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from adapters.hub.merged_model import push_merged
from adapters.record import AdapterRecord, HubRef
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

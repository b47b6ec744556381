"""What the commit of a new version says has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapters.hub.push import push_adapter
from adapters.record import DatasetRef
from adapters.store import AdapterStore
from core.common.home import Home
from tests.adapters.folders import write_adapter
from tests.hub_server.fixtures import Hub


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
    push_adapter(store, "pirate", "ada/pirate")
    assert hub.head("ada/pirate").title.startswith("Add the adapter pirate: 40 steps")
    second = replace(store.get("pirate"), steps=120, eval_loss=0.75, recipe=first.recipe | {"learning_rate": 1e-4})
    store.update(second)
    push_adapter(store, "pirate", "ada/pirate")
    head = hub.head("ada/pirate")
    assert (
        head.title
        == "Update the adapter pirate: steps 40 → 120, evaluation loss 1.5 → 0.75, learning_rate 0.0002 → 0.0001"
    )
    assert "Changed since the version before" in head.description
    assert "dataset:" in head.description
    assert "- dataset" not in head.description, "that is the same"

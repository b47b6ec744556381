"""Adapters put into a store."""

from __future__ import annotations

from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from tests.adapters.folders import write_adapter


def record(name: str = "pirate", **changes: object) -> AdapterRecord:
    return AdapterRecord(name, "guanaco-builtin", **changes)  # type: ignore[arg-type]


def add(store: AdapterStore, name: str = "pirate", **changes: object) -> AdapterRecord:
    with store.staging() as stage:
        return store.add(name, write_adapter(stage / "adapter"), record(name, **changes))


def hidden(store: AdapterStore) -> list[str]:
    return [path.name for path in store.root.iterdir() if path.name.startswith(".")]

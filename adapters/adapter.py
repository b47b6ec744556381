"""One adapter on disk, read and checked once, for whoever needs its folder, its record and what its files hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from adapters.compat import AdapterFacts, inspect
from adapters.record import AdapterRecord


@dataclass(frozen=True)
class Adapter:
    path: Path
    record: AdapterRecord
    facts: AdapterFacts

    @classmethod
    def read(cls, folder: Path) -> Adapter:
        """Raises UserError when `folder` is not a whole adapter, or has no record or a damaged one."""
        facts = inspect(folder)
        # A folder's name is the adapter's name, also after a rename that was cut off or one made by hand.
        return cls(folder, replace(AdapterRecord.read(folder), name=folder.name), facts)

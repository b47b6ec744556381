"""Which adapters everyone may chat with on a Space. Nothing is, until the owner publishes it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from adapters.common.errors import UserError, shortened
from adapters.common.files import write_atomic
from adapters.record import AdapterRecord
from core.common.home import Home
from core.common.json_records import read_record
from core.models.base import name_of
from studio.auth.identity import User
from studio.context import Studio

ENTRIES = TypeAdapter(list[list[str]])


class PublishedAdapters:
    """Kept as name and creation time, so that another adapter that later has the name is not published with it."""

    def __init__(self, home: Home) -> None:
        self.path: Path = home.root / "published.json"

    def has(self, record: AdapterRecord) -> bool:
        return [record.name, record.created] in self._read()

    def set(self, record: AdapterRecord, published: bool) -> None:
        entry = [record.name, record.created]
        others = [other for other in self._read() if other != entry]
        write_atomic(self.path, json.dumps([*others, entry] if published else others, indent=1))

    def _read(self) -> list[list[str]]:
        """A damaged file publishes nothing."""
        return read_record(self.path, ENTRIES) or []


def usable_adapters(studio: Studio, user: User) -> list[str]:
    """The adapters that this person may use, newest first."""
    published = PublishedAdapters(studio.home)
    return [record.name for record in studio.store.list() if not user.only_published or published.has(record)]


def check_may_use(studio: Studio, user: User, model: object) -> None:
    """Raises UserError unless `model` is the base or an adapter that this person may use."""
    bases = {"base", name_of(studio.base), studio.engine.status.base} - {""}
    if user.only_published and not (isinstance(model, str) and model in {*bases, *usable_adapters(studio, user)}):
        raise UserError(
            f"{shortened(model)} is not published.", "Choose another one; the owner of this studio can publish it."
        )

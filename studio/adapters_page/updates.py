"""Adapters that have moved on where they came from: noticed, never applied."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from adapters.common.errors import UserError
from adapters.hub.pull import newer_revision
from adapters.record import AdapterRecord
from adapters.store import AdapterStore

FRESH_SECONDS = 3600.0


@dataclass(frozen=True)
class News:
    """newer: the commit upstream when it is another than the one here. error: why it could not be asked for."""

    name: str
    repo_id: str
    here: str
    newer: str | None
    error: str = ""


class Updates:
    """Asks the Hub at most once an hour, unless told to: only about adapters that came from there or were put there."""

    def __init__(self, store: AdapterStore) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._news: list[News] = []

    def look(self, *, now: bool = False) -> list[News]:
        with self._lock:
            if now or time.monotonic() - self._looked > FRESH_SECONDS:
                self._news = [each for each in map(self._about, self.store.list()) if each]
                self._looked = time.monotonic()
            return self._news

    def newer(self) -> dict[str, str]:
        """Adapter -> the commit upstream that is not the one here, as far as was looked; asks nobody."""
        return {each.name: each.newer for each in self._news if each.newer}

    def _about(self, record: AdapterRecord) -> News | None:
        if record.hub is None:
            return None
        about = (record.name, record.hub.repo_id, record.hub.revision)
        try:
            return News(*about, newer_revision(record))
        except UserError as error:
            return News(*about, None, str(error))

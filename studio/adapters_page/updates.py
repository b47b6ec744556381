"""Adapters whose repository on the Hub has another commit than the one here: noticed, never applied."""

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
class UpstreamVersion:
    """newer: the commit upstream when it is another than the one here. error: why the Hub could not be asked."""

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
        self._checked_at = float("-inf")
        self._versions: list[UpstreamVersion] = []

    def check(self, *, now: bool = False) -> list[UpstreamVersion]:
        with self._lock:
            if now or time.monotonic() - self._checked_at > FRESH_SECONDS:
                self._versions = [version for version in map(self._upstream, self.store.list()) if version]
                self._checked_at = time.monotonic()
            return self._versions

    def newer_commits(self) -> dict[str, str]:
        """Adapter -> the commit upstream that is not the one here, as of the last check; asks nobody."""
        return {version.name: version.newer for version in self._versions if version.newer}

    def _upstream(self, record: AdapterRecord) -> UpstreamVersion | None:
        if record.hub is None:
            return None
        name, repo_id, here = record.name, record.hub.repo_id, record.hub.revision
        try:
            return UpstreamVersion(name, repo_id, here, newer_revision(record))
        except UserError as error:
            return UpstreamVersion(name, repo_id, here, None, str(error))

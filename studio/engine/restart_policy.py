"""When an engine that died is started again: after a growing pause, and after five deaths in a row much later."""

from __future__ import annotations

import time
from dataclasses import dataclass

MAX_BACKOFF_SECONDS = 30.0
GIVE_UP_AFTER = 5  # deaths in a row without having been ready in between
RETRY_SECONDS = 300.0  # after that, until it is tried once more


@dataclass(frozen=True)
class Retry:
    """The engine has given up until `at` (on time.monotonic's clock), or until a disk that was full has room."""

    at: float
    disk_full: bool


class RestartPolicy:
    """Counts the deaths of an engine. `retry` is set while it has given up."""

    def __init__(self) -> None:
        self.deaths = 0  # in a row
        self.retry: Retry | None = None

    def reset(self) -> None:
        self.deaths, self.retry = 0, None

    def count_death(self, was_ready: bool) -> None:
        self.deaths = 1 if was_ready else self.deaths + 1

    @property
    def is_exhausted(self) -> bool:
        return self.deaths >= GIVE_UP_AFTER

    @property
    def pause(self) -> float:
        """Seconds until the next start."""
        return min(MAX_BACKOFF_SECONDS, 0.5 * 2.0 ** (self.deaths - 1))

    def give_up(self, disk_full: bool) -> None:
        self.retry = Retry(time.monotonic() + RETRY_SECONDS, disk_full)

    def try_once_more(self, disk_has_room: bool) -> bool:
        """Whether an engine that has given up may start again now; one more death then makes it give up again."""
        if self.retry is None or (not (self.retry.disk_full and disk_has_room) and time.monotonic() < self.retry.at):
            return False
        self.deaths -= 1
        self.retry = None
        return True

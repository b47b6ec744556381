"""The trainer yields to the chat: it waits between micro-steps while answers are being written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

POLL_SECONDS = 0.005
LONGEST_WAIT = 5.0  # seconds in one wait, however long the trainer worked before


class Activity(Protocol):
    """What the throttle needs of ChatActivity."""

    def answers(self) -> int:
        """Answers in progress."""
        ...


class TrainingThrottle:
    """Call it before each micro-step: it waits while answers are being written.

    share: the part of the time that training gets at least, so that it ends however much people chat. After a
    micro-step of t seconds it waits t * (1 - share) / share seconds at most. should_stop: called while waiting; when
    it returns True the wait ends (a signal has arrived).
    """

    def __init__(
        self, activity: Activity, share: float = 0.25, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._activity = activity
        self._wait_per_work = (1 - share) / share
        self._should_stop = should_stop
        self._resumed_at = time.monotonic()
        self.waited = 0.0  # seconds in all

    def __call__(self) -> None:
        if not self._activity.answers():
            self._resumed_at = time.monotonic()
            return
        started = time.monotonic()
        deadline = started + min(LONGEST_WAIT, (started - self._resumed_at) * self._wait_per_work)
        while self._activity.answers() and time.monotonic() < deadline and not self._should_stop():
            time.sleep(POLL_SECONDS)
        self._resumed_at = time.monotonic()
        self.waited += self._resumed_at - started

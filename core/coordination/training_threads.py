"""How many cores a training run computes on: all of them, and few while somebody chats."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.coordination.training_throttle import Activity

QUIET_SECONDS = 10.0  # without an answer, before training takes all cores: who reads one may ask again


class TrainingThreads:
    """Call it before each micro-step: it sets how many threads the next one computes on.

    set_threads: `torch.set_num_threads`. all_threads: while nobody chats. beside_chat: while answers are written, and
    for QUIET_SECONDS after the last one.
    """

    def __init__(
        self, activity: Activity, set_threads: Callable[[int], None], all_threads: int, beside_chat: int = 1
    ) -> None:
        self._activity = activity
        self._set_threads = set_threads
        self._all_threads, self._beside_chat = all_threads, beside_chat
        self._threads = 0
        self._answered_at: float | None = None

    def __call__(self) -> None:
        now = time.monotonic()
        if self._activity.answers():
            self._answered_at = now
        is_quiet = self._answered_at is None or now - self._answered_at > QUIET_SECONDS
        threads = self._all_threads if is_quiet else min(self._beside_chat, self._all_threads)
        if threads != self._threads:
            self._threads = threads
            self._set_threads(threads)

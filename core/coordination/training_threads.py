"""How many cores a training run computes on: all that are free while nobody chats, and few while somebody does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.coordination.training_throttle import Activity

QUIET_SECONDS = 10.0  # without an answer, before training takes all cores: who reads one may ask again
# Threads that share an operator's work wait for each other after each operator. Where another program has the core of
# one of them, all wait for that one: with two threads, and one of two cores taken, a run had a fifteenth of the speed
# that it has with one (docs/benchmarks/training.md).
LOOK_SECONDS = 1.0  # over which it is measured, at least
CROWDED = 0.2  # of a core: what the threads wait for one in a second before there are to be fewer of them
CROWDED_SECONDS = 30.0  # with fewer, before all cores are tried again
NANO = 1e-9


def seconds_waited_for_a_core() -> float:
    """What all threads of this process together have waited for a core to run on, in seconds.

    From /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst of Linux); 0.0 where there is none.
    """
    seconds = 0.0
    for file in Path("/proc/self/task").glob("*/schedstat"):
        try:
            seconds += int(file.read_text().split()[1]) * NANO
        except (OSError, ValueError, IndexError):  # the thread has ended, or this kernel does not count
            continue
    return seconds


class TrainingThreads:
    """Call it before each micro-step: it sets how many threads the next one computes on.

    set_threads: `torch.set_num_threads`. all_threads: while nobody chats and the cores are free. beside_chat: while
    answers are written, and for QUIET_SECONDS after the last one; where other programs have cores, there are as many
    threads fewer for CROWDED_SECONDS, and at least these.
    """

    def __init__(
        self,
        activity: Activity,
        set_threads: Callable[[int], None],
        all_threads: int,
        beside_chat: int = 1,
        waited: Callable[[], float] = seconds_waited_for_a_core,
    ) -> None:
        self._activity = activity
        self._set_threads = set_threads
        self._waited = waited
        self._all_threads, self._beside_chat = all_threads, min(beside_chat, all_threads)
        self._threads = 0
        self._answered_at: float | None = None
        self._free_threads, self._crowded_at = all_threads, 0.0
        self._looked_at, self._waited_then = time.monotonic(), 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        self._look_for_free_cores(now)
        if self._activity.answers():
            self._answered_at = now
        is_quiet = self._answered_at is None or now - self._answered_at > QUIET_SECONDS
        threads = self._free_threads if is_quiet else self._beside_chat
        if threads != self._threads:
            self._threads = threads
            self._set_threads(threads)
            self._looked_at, self._waited_then = now, self._waited()

    def _look_for_free_cores(self, now: float) -> None:
        if self._free_threads < self._all_threads and now - self._crowded_at > CROWDED_SECONDS:
            self._free_threads = self._all_threads
        elif self._threads > self._beside_chat and now - self._looked_at >= LOOK_SECONDS:
            waited = self._waited()
            lost = (waited - self._waited_then) / (now - self._looked_at)  # cores
            self._looked_at, self._waited_then = now, waited
            if lost > CROWDED:
                self._free_threads = max(self._beside_chat, self._threads - max(1, round(lost)))
                self._crowded_at = now

"""How many messages people may send: each one, and all visitors and users together, per minute."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0
REMEMBERED = 10_000  # people whose messages are counted at once


class Limits:
    """Counts over a sliding minute. Memory is bounded: the people who were silent longest are forgotten first."""

    def __init__(self, per_person: int, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_person = per_person
        self.total = total
        self._clock = clock
        self._all: deque[float] = deque()
        self._of: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, key: str) -> int:
        """Count one message of `key` and return 0; or count nothing and return the seconds to wait for the next."""
        now = self._clock()
        own = self._of.setdefault(key, deque())
        self._of.move_to_end(key)
        for times in (own, self._all):
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
        for times, most in ((own, self.per_person), (self._all, self.total)):
            if len(times) >= most:
                oldest = times[0] if times else now
                return max(1, math.ceil(oldest + WINDOW_SECONDS - now))
        own.append(now)
        self._all.append(now)
        while len(self._of) > REMEMBERED:
            self._of.popitem(last=False)
        return 0

"""How much people may send: each one, and all visitors and users together, per minute; and who is one."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from starlette.requests import Request

WINDOW_SECONDS = 60.0
MAX_REMEMBERED = 10_000  # people whose messages are counted at once
NETWORK_BITS = 64  # of an IPv6 address, what one household has all of


class RateLimits:
    """Counts over a sliding minute. Memory is bounded: the people who were silent longest are forgotten first."""

    def __init__(self, per_person: int, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_person = per_person
        self.total = total
        self._clock = clock
        self._all: deque[float] = deque()
        self._of: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key: str, weight: int = 1) -> int:
        """Count a message of `key` and return 0; or count nothing and return the seconds to wait for the next.

        weight: as how many it counts; the last one that is let in may go beyond the limit.
        """
        if seconds := self.seconds_to_wait(key):
            return seconds
        times = [self._clock()] * weight
        self._of[key].extend(times)
        self._all.extend(times)
        return 0

    def seconds_to_wait(self, key: str) -> int:
        """The seconds that `key` has to wait for the next message; 0 when it may come now. Counts nothing."""
        now = self._clock()
        own = self._of.setdefault(key, deque())
        self._of.move_to_end(key)
        while len(self._of) > MAX_REMEMBERED:
            self._of.popitem(last=False)
        for times in (own, self._all):
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
        for times, most in ((own, self.per_person), (self._all, self.total)):
            if len(times) >= most:
                last = times[len(times) - int(most)] if times else now  # when it has gone there is room
                return max(1, math.ceil(last + WINDOW_SECONDS - now))
        return 0


def client_address(request: Request, behind_proxy: bool = True) -> str:
    """By which address a stranger is counted.

    A proxy writes what it saw at the end of X-Forwarded-For, behind whatever the sender made up. So the last public
    address counts; private ones after it are the proxies of the house.
    """
    seen = request.headers.get("x-forwarded-for", "").split(",") if behind_proxy else []
    for hop in reversed(seen):
        try:
            address = ipaddress.ip_address(hop.strip())
        except ValueError:
            break
        if address.is_global:
            return address_key(address)
    return request.client.host if request.client else ""


def address_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, NETWORK_BITS), strict=False))
    return str(address)

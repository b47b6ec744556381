"""Numbers, sizes and times as people write them."""

from __future__ import annotations

import math
import time


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 8 s, 2 min 05 s, 3 h 10 min; "–" when unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes in the largest fitting unit: 1023 B, 1.50 KiB, 14.6 GiB."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    digits = 0 if unit == "B" or value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def moment(at: float) -> str:
    """A time as people write it: the clock alone for today, with the date otherwise; "–" for what is no time.

    at: seconds since the epoch.
    """
    try:
        when, today = time.localtime(at), time.localtime()
    except (ValueError, OverflowError, OSError):
        return "–"
    clock = time.strftime("%H:%M:%S", when)
    return clock if when[:3] == today[:3] else f"{when.tm_mday} {time.strftime('%b %Y', when)} {clock[:5]}"

"""Records to what the page shows: HTML fragments, tables, curves. Pure functions; every value is escaped."""

from __future__ import annotations

import math

# A guanaco's head, drawn in one line, so that the page needs no image and no emoji font.
MARK = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="#0a8f5b" stroke-width="2" stroke-linejoin="round" aria-hidden="true">'
    '<path d="M7 22V12L5 9l6-1 1-5 2 4 1-4 2 6v5l-3 3v5z"/></svg>'
)


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

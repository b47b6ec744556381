"""Durations and sizes as people say them."""

from __future__ import annotations

import pytest

from studio.html.format import duration, size


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (8.4, "8 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (11400, "3 h 10 min")]
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (7 << 20, "7.00 MiB")])
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said

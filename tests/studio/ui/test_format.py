"""What the page shows is right, and nothing that a person typed becomes markup."""

from __future__ import annotations

import pytest

from adapters.record import AdapterRecord
from studio.adapters_page.cards import Standing, cards
from studio.auth.identity import Role
from studio.ui.format import duration, size

EVIL = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (8.4, "8 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (11400, "3 h 10 min")]
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (7 << 20, "7.00 MiB")])
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


def test_nothing_given_becomes_markup() -> None:
    fragments = [
        cards([Standing(AdapterRecord(EVIL, EVIL, note=EVIL, tags=[EVIL]), EVIL, EVIL)], [(EVIL, EVIL)], Role.OWNER),
    ]
    for fragment in fragments:
        assert "<img" not in fragment
        assert "&lt;img" in fragment


def test_empty_states_say_what_to_do_next() -> None:
    assert "Train" in cards([], [], Role.OWNER)

"""What a badge shows of an answer."""

from __future__ import annotations

from studio.answers.badge import badge
from studio.answers.streams import StreamedAnswer

EVIL = "<img src=x onerror=alert(1)>"


def test_the_badge_names_who_really_answered() -> None:
    answer = StreamedAnswer(
        text="Arr", model="pirate", timings={"time_to_first_token": 0.012, "tokens_per_second": 55.4}
    )
    shown = badge(answer, "base")
    assert "<b>pirate</b>" in shown
    assert "12 ms" in shown
    assert "base" not in shown


def test_nothing_given_becomes_markup() -> None:
    for fragment in (badge(StreamedAnswer(error=EVIL), EVIL), badge(StreamedAnswer(model=EVIL), EVIL)):
        assert "<img" not in fragment
        assert "&lt;img" in fragment

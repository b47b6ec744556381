"""Several runs side by side."""

from __future__ import annotations

from studio.context import Studio
from studio.runs.comparison_view import differences, render_comparison
from tests.studio.runs.making import make_run, snapshots


def test_comparing_shows_only_what_differs_in_the_recipes(empty_studio: Studio) -> None:
    make_run(empty_studio, "a", [2.0, 1.0], lora_r=8)
    make_run(empty_studio, "b", [2.0, 1.5], lora_r=32)
    both = list(snapshots(empty_studio).values())
    rows = dict(differences(both))
    assert sorted(rows["lora_r"]) == ["32", "8"]
    assert "learning_rate" not in rows
    shown = render_comparison(both, 0.0)
    assert shown.count('class="curve') == 2
    assert render_comparison(both[:1], 0.0) == ""

"""The table of runs: sorted, filtered, and how many are compared."""

from __future__ import annotations

from studio.context import Studio
from studio.runs.table_view import MOST_COMPARED, RunsTableState, in_order, matches
from tests.studio.runs.making import make_run, snapshots


def test_sorting_puts_what_is_not_known_last_either_way(empty_studio: Studio) -> None:
    make_run(empty_studio, "a", [2.0])
    make_run(empty_studio, "b", [1.0])
    make_run(empty_studio, "c")
    runs = list(snapshots(empty_studio).values())
    up = RunsTableState("created").sorted_by("loss")
    assert [run.summary.name for run in in_order(runs, up)] == ["b", "a", "c"]
    assert [run.summary.name for run in in_order(runs, up.sorted_by("loss"))] == ["a", "b", "c"]
    assert up.sorted_by("no such column") == up


def test_filtering_needs_all_words(empty_studio: Studio) -> None:
    make_run(empty_studio, "first-try")
    (run,) = snapshots(empty_studio).values()
    assert matches(run, "FIRST pirate queued")
    assert not matches(run, "first done")


def test_no_more_runs_are_compared_than_there_are_colours() -> None:
    state = RunsTableState()
    for number in range(MOST_COMPARED + 2):
        state = state.with_compared(str(number))
    assert state.compared == tuple(str(number) for number in range(2, MOST_COMPARED + 2))
    assert state.with_compared("3").compared == tuple(str(n) for n in range(2, MOST_COMPARED + 2) if n != 3)

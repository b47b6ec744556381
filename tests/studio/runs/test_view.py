"""What the Runs tab shows: nothing that a person typed becomes markup, and nothing that is not for this person."""

from __future__ import annotations

import time
from html import escape

from core.training.events import Note, SampleAnswer, append_event
from core.training.state import RunState
from studio.auth.identity import LOCAL_OWNER, UNAUTHENTICATED, Role, User
from studio.context import Studio
from studio.engine.status import EngineStatus
from studio.runs.comparison_view import render_comparison
from studio.runs.run_cache import RunCache
from studio.runs.run_view import render_loss_chart, render_run_card, render_samples, render_timeline
from studio.runs.table_view import RunsTableState, render_runs_table
from studio.runs.view import possible_actions, render_tab
from studio.status_bar import render_status_bar
from tests.studio.runs.making import make_run, snapshots

EVIL = "<img src=x onerror=alert(1)>"


def test_others_than_the_owner_read_nothing_of_where_files_lie(empty_studio: Studio) -> None:
    folder = "/srv/somebody/models"
    run = make_run(
        empty_studio,
        "a",
        [1.0],
        dataset_name=f"{folder}/datasets/birds/data.jsonl",
        model_name_or_path=f"{folder}/foo",
    )
    append_event(run.events_path, Note(text=f"The base comes from {folder}/foo."))
    run.move(RunState.PREPARING, f"reading {folder}/x")
    run.move(RunState.FAILED, f"There is no {folder}/foo.")
    other = make_run(empty_studio, "b", [1.0])
    known = list(snapshots(empty_studio).values())
    state = RunsTableState(compared=(run.id, other.id))
    for user in (LOCAL_OWNER, User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=True)):
        drawn = str(render_tab(empty_studio, RunCache(empty_studio.home), known, user, run.id, state, "", 0.6))
        assert "There is no" in drawn and "foo" in drawn and "birds" in drawn
        assert (folder in drawn) == (user is LOCAL_OWNER)


def test_nothing_given_becomes_markup(empty_studio: Studio) -> None:
    run = make_run(empty_studio, "a", [1.0], dataset_name=EVIL)
    append_event(run.events_path, Note(text=EVIL))
    append_event(run.events_path, SampleAnswer(step=1, prompt=EVIL, answer=EVIL))
    run.move(RunState.PREPARING, EVIL)
    run.move(RunState.FAILED, EVIL)
    (shown,) = snapshots(empty_studio).values()
    fragments = [
        render_status_bar(EngineStatus("loading", EVIL), shown, 1, 1, shown),
        render_run_card(shown),
        render_timeline(shown),
        render_samples(shown),
        render_runs_table([shown], RunsTableState(), "", EVIL, [], True),
        f"{render_comparison([shown, shown], 0.5)}{escape(EVIL)}",
        f"{render_loss_chart(shown, 0.5)}{escape(EVIL)}",
    ]
    for fragment in fragments:
        assert "<img" not in fragment
        assert "&lt;img" in fragment


def test_who_may_not_see_runs_gets_nothing_of_them(empty_studio: Studio) -> None:
    make_run(empty_studio, "hidden-from-visitors")
    cache = RunCache(empty_studio.home)
    shown = cache.runs()[0].id
    drawn = render_tab(empty_studio, cache, cache.runs(), UNAUTHENTICATED, shown, RunsTableState(), "", 0.6)
    assert "hidden" not in str(drawn)
    assert len(drawn) == len(
        render_tab(empty_studio, cache, cache.runs(), LOCAL_OWNER, shown, RunsTableState(), "", 0.6)
    )


def test_only_what_makes_sense_is_offered(empty_studio: Studio) -> None:
    run = make_run(empty_studio, "a")
    names = ("stop", "pause", "resume", "clone", "adapter", "delete", "continue")

    def offered() -> set[str]:
        return {name for name, may in zip(names, possible_actions(snapshots(empty_studio)["a"]), strict=True) if may}

    assert offered() == {"stop", "clone"}
    run.move(RunState.STOPPED, "Cancelled before it began.")
    assert offered() == {"resume", "clone", "delete", "continue"}
    assert "Train" not in render_timeline(snapshots(empty_studio)["a"])
    assert time.strftime("%H:") in render_run_card(snapshots(empty_studio)["a"])

"""The line on top of every page."""

from __future__ import annotations

import time
from html import unescape

from core.common.process import Identity
from core.training.phase import Phase
from core.training.state import RunState
from studio.context import Studio
from studio.engine.status import EngineStatus
from studio.runs.run_cache import RunCache, active_run, last_ended_run
from studio.runs.run_view import render_run_card
from studio.status_bar import render_status_bar
from tests.studio.runs.making import make_run, snapshots


def test_the_line_on_top_says_what_runs_and_how_it_ended(empty_studio: Studio) -> None:
    run = make_run(empty_studio, "a", [2.0, 1.5])
    assert active_run(list(snapshots(empty_studio).values())) is None
    run.move(RunState.PREPARING)
    run.move(RunState.FAILED, "out of luck")
    ended = last_ended_run(RunCache(empty_studio.home).runs())
    assert ended is not None and ended.state is RunState.FAILED
    line = render_status_bar(EngineStatus("ready", base="builtin"), None, 2, 0, ended)
    assert "2 waiting" in line
    assert '"failed"' in unescape(line)


def test_while_the_chat_is_parked_the_line_and_the_card_say_so(empty_studio: Studio) -> None:
    run = make_run(empty_studio, "a", [2.0])
    own = Identity.own()
    run.move(RunState.PREPARING, pid=own.pid, started=own.started)
    shown = snapshots(empty_studio)["a"]
    line = render_status_bar(EngineStatus("parked", "The chat is parked while a run trains."), shown, 0)
    assert "Engine parked · The chat is parked while a run trains." in line and 'class="dot parked"' in line
    assert "parked until this run ends" in render_run_card(shown, chat_is_suspended=True)
    assert "parked" not in render_run_card(shown)


def test_what_comes_after_a_step_is_named_with_its_progress(empty_studio: Studio) -> None:
    run, own = make_run(empty_studio, "a", [2.0]), Identity.own()
    for state in (RunState.PREPARING, RunState.TRAINING):
        run.move(state, pid=own.pid, started=own.started)
    shown = snapshots(empty_studio)["a"]
    phase = Phase("evaluating", at=time.time() + 60, done=3, total=10, left=75.0)
    for html in (render_status_bar(EngineStatus("ready"), shown, 0, phase=phase), render_run_card(shown, phase=phase)):
        assert "evaluating, 3 of 10" in html and "1 min 15 s" in html
    (run.folder / "phase.json").write_text('{"name": "saving a checkpoint", "at": 1.0}')
    told = RunCache(empty_studio.home).phase_of(shown)
    assert "saving a checkpoint" in render_run_card(shown, phase=told)
    run.move(RunState.FAILED, "out of luck")
    ended = snapshots(empty_studio)["a"]
    assert RunCache(empty_studio.home).phase_of(ended) is None
    assert "saving" not in render_run_card(ended, phase=told)

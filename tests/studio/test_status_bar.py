"""The line on top of every page."""

from __future__ import annotations

from html import unescape

from core.common.process import Identity
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

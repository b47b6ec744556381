"""What the page says of runs: nothing a person typed becomes markup, and sorting, filtering and comparing are right."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training.events import Checkpoint, Evaluation, Note, Progress, SampleAnswer, append_event
from core.training.run import Run, create_run
from core.training.state import RunState
from studio.auth.identity import LOCAL_OWNER, UNAUTHENTICATED, Role, User
from studio.context import Studio
from studio.engine.status import EngineStatus
from studio.runs import page as runs_page
from studio.runs.run_cache import RunCache, RunSnapshot, active_run, last_ended_run
from studio.runs.run_view import best_step, loss_chart, run_card, samples_table, timeline
from studio.runs.runs_view import MOST_COMPARED, RunsTableState, comparison, differences, in_order, matches, runs_table
from studio.status_bar import render_status_bar

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def fresh(quiet_studio: Studio) -> Studio:
    for run in list(quiet_studio.home.runs.iterdir()):
        if run.is_dir():
            for path in sorted(run.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
            run.rmdir()
    return quiet_studio


def made(studio: Studio, name: str, losses: list[float] = (), **settings: Any) -> Run:  # type: ignore[assignment]
    run = create_run(studio.home, Recipe.from_dict({"dataset_name": "pirate", "run_name": name, **settings}))
    for step, loss in enumerate(losses, 1):
        append_event(
            run.events_path, Progress(step=step, max_steps=len(losses), epoch=0, loss=loss, learning_rate=1e-3)
        )
    return run


def seen(studio: Studio) -> dict[str, RunSnapshot]:
    return {run.summary.name: run for run in RunCache(studio.home).runs()}


def test_a_run_is_read_again_only_when_its_folder_changes(fresh: Studio) -> None:
    overview = RunCache(fresh.home)
    run = made(fresh, "a", [2.0])
    (first,) = overview.runs()
    assert overview.runs()[0] is first
    append_event(run.events_path, Evaluation(step=1, eval_loss=1.5))
    (second,) = overview.runs()
    assert second.evaluated == ((1, 1.5),)


def test_a_resumed_run_has_each_step_once_with_the_later_value(fresh: Studio) -> None:
    run = made(fresh, "a", [2.0, 1.5])
    append_event(run.events_path, Progress(step=2, max_steps=2, epoch=0, loss=1.4, learning_rate=1e-3))
    assert seen(fresh)["a"].training == ((1, 2.0), (2, 1.4))


def test_sorting_puts_what_is_not_known_last_either_way(fresh: Studio) -> None:
    made(fresh, "a", [2.0])
    made(fresh, "b", [1.0])
    made(fresh, "c")
    runs = list(seen(fresh).values())
    up = RunsTableState("created").sorted_by("loss")
    assert [run.summary.name for run in in_order(runs, up)] == ["b", "a", "c"]
    assert [run.summary.name for run in in_order(runs, up.sorted_by("loss"))] == ["a", "b", "c"]
    assert up.sorted_by("no such column") == up


def test_filtering_needs_all_words(fresh: Studio) -> None:
    made(fresh, "first-try")
    (run,) = seen(fresh).values()
    assert matches(run, "FIRST pirate queued")
    assert not matches(run, "first done")


def test_comparing_shows_only_what_differs_in_the_recipes(fresh: Studio) -> None:
    made(fresh, "a", [2.0, 1.0], lora_r=8)
    made(fresh, "b", [2.0, 1.5], lora_r=32)
    both = list(seen(fresh).values())
    rows = dict(differences(both))
    assert sorted(rows["lora_r"]) == ["32", "8"]
    assert "learning_rate" not in rows
    shown = comparison(both, 0.0)
    assert shown.count('class="curve') == 2
    assert comparison(both[:1], 0.0) == ""


def test_no_more_runs_are_compared_than_there_are_colours() -> None:
    look = RunsTableState()
    for number in range(MOST_COMPARED + 2):
        look = look.picking(str(number))
    assert look.picked == tuple(str(number) for number in range(2, MOST_COMPARED + 2))
    assert look.picking("3").picked == tuple(str(n) for n in range(2, MOST_COMPARED + 2) if n != 3)


def test_the_best_step_and_the_answers_over_time(fresh: Studio) -> None:
    run = made(fresh, "a", [2.0])
    for step, loss, answer in ((10, 1.2, "Ahoy"), (20, 1.3, "Arr")):
        append_event(run.events_path, Evaluation(step=step, eval_loss=loss, best=step == 10))
        append_event(run.events_path, Checkpoint(step=step, path=f"checkpoints/checkpoint-{step}"))
        append_event(run.events_path, SampleAnswer(step=step, prompt="Who are you?", answer=answer))
    shown = seen(fresh)["a"]
    assert best_step(shown) == 10
    table = samples_table(shown)
    assert table.index("step 10 · best") < table.index("step 20") < table.index("Ahoy") < table.index("Arr")
    told = timeline(shown)
    assert told.index("checkpoint of step 20") < told.index("checkpoint of step 10") < told.index("queued")


def test_the_line_on_top_says_what_runs_and_how_it_ended(fresh: Studio) -> None:
    run = made(fresh, "a", [2.0, 1.5])
    assert active_run(list(seen(fresh).values())) is None
    run.move(RunState.PREPARING)
    run.move(RunState.FAILED, "out of luck")
    ended = last_ended_run(RunCache(fresh.home).runs())
    assert ended is not None and ended.state is RunState.FAILED
    line = render_status_bar(EngineStatus("ready", base="builtin"), None, 2, 0, ended)
    assert "2 waiting" in line
    assert "&quot;failed&quot;" in line


def test_while_the_chat_is_parked_the_line_and_the_card_say_so(fresh: Studio) -> None:
    run = made(fresh, "a", [2.0])
    own = Identity.own()
    run.move(RunState.PREPARING, pid=own.pid, started=own.started)
    shown = seen(fresh)["a"]
    line = render_status_bar(EngineStatus("parked", "The chat is parked while a run trains."), shown, 0)
    assert "Engine parked · The chat is parked while a run trains." in line and 'class="dot parked"' in line
    assert "parked until this run ends" in run_card(shown, parked=True)
    assert "parked" not in run_card(shown)


def test_others_than_the_owner_read_nothing_of_where_files_lie(fresh: Studio) -> None:
    lies = "/srv/somebody/models"
    run = made(fresh, "a", [1.0], dataset_name=f"{lies}/datasets/birds/data.jsonl", model_name_or_path=f"{lies}/foo")
    append_event(run.events_path, Note(text=f"The base comes from {lies}/foo."))
    run.move(RunState.PREPARING, f"reading {lies}/x")
    run.move(RunState.FAILED, f"There is no {lies}/foo.")
    other = made(fresh, "b", [1.0])
    known = list(seen(fresh).values())
    look = RunsTableState(picked=(run.id, other.id))
    for person in (LOCAL_OWNER, User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=True)):
        drawn = str(runs_page.draw(fresh, RunCache(fresh.home), known, person, run.id, look, "", 0.6))
        assert "There is no" in drawn and "foo" in drawn and "birds" in drawn
        assert (lies in drawn) == (person is LOCAL_OWNER)


def test_nothing_given_becomes_markup(fresh: Studio) -> None:
    run = made(fresh, "a", [1.0], dataset_name=EVIL)
    append_event(run.events_path, Note(text=EVIL))
    append_event(run.events_path, SampleAnswer(step=1, prompt=EVIL, answer=EVIL))
    run.move(RunState.PREPARING, EVIL)
    run.move(RunState.FAILED, EVIL)
    (shown,) = seen(fresh).values()
    fragments = [
        render_status_bar(EngineStatus("loading", EVIL), shown, 1, 1, shown),
        run_card(shown),
        timeline(shown),
        samples_table(shown),
        runs_table([shown], RunsTableState(), "", EVIL, [], True),
        comparison([shown, shown], 0.5) + EVIL.replace("<", "&lt;"),
        loss_chart(shown, 0.5) + EVIL.replace("<", "&lt;"),
    ]
    for fragment in fragments:
        assert "<img" not in fragment
        assert "&lt;img" in fragment


def test_who_may_not_see_runs_gets_nothing_of_them(fresh: Studio) -> None:
    made(fresh, "hidden-from-visitors")
    overview = RunCache(fresh.home)
    shown = overview.runs()[0].id
    drawn = runs_page.draw(fresh, overview, overview.runs(), UNAUTHENTICATED, shown, RunsTableState(), "", 0.6)
    assert "hidden" not in str(drawn)
    assert len(drawn) == len(
        runs_page.draw(fresh, overview, overview.runs(), LOCAL_OWNER, shown, RunsTableState(), "", 0.6)
    )


def test_only_what_makes_sense_is_offered(fresh: Studio) -> None:
    run = made(fresh, "a")
    names = ("stop", "pause", "resume", "clone", "adapter", "delete", "continue")

    def offered() -> set[str]:
        return {name for name, may in zip(names, runs_page.possible(seen(fresh)["a"]), strict=True) if may}

    assert offered() == {"stop", "clone"}
    run.move(RunState.STOPPED, "Cancelled before it began.")
    assert offered() == {"resume", "clone", "delete", "continue"}
    assert "Train" not in timeline(seen(fresh)["a"])
    assert time.strftime("%H:") in run_card(seen(fresh)["a"])

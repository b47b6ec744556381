"""The measurement in the background: not while somebody chats or trains, ended by who does, and made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
from core.planner import Gpu
from core.recipes.recipe import Recipe
from core.training.run import create_run
from core.training.speeds import MeasuredSpeed, save_speed, this_machine
from studio.engine import background_measurement
from studio.engine.background_measurement import BackgroundMeasurement
from studio.engine.supervisor import EngineSupervisor


@pytest.fixture
def measurement(home: Home) -> BackgroundMeasurement:
    engine = EngineSupervisor(home, "builtin")
    engine.ready.set()
    return BackgroundMeasurement(home, engine, quiet_seconds=0.0)


def run_instead(
    monkeypatch: pytest.MonkeyPatch, code: str, on_start: Callable[[], None] = lambda: None
) -> list[list[str]]:
    """A program in the place of the measurement; the commands that would have been run."""
    real, started = subprocess.Popen, list[list[str]]()

    def popen(command: list[str], **settings: Any) -> Any:
        started.append(command)
        process = real([sys.executable, "-c", code], **settings)
        on_start()
        return process

    monkeypatch.setattr(background_measurement, "Popen", popen)
    return started


def wait_for_end(measurement: BackgroundMeasurement) -> None:
    measurement.start()
    measurement.join(60)


def test_it_is_made_once_the_engine_is_ready(
    measurement: BackgroundMeasurement, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = run_instead(monkeypatch, "print('1 of 3, step 2 of 6')")
    wait_for_end(measurement)
    (command,) = started
    assert command[-4:] == ["--base", "builtin", "--home", str(home.root)]
    assert measurement.progress == ""


def test_what_is_known_already_is_not_measured(
    measurement: BackgroundMeasurement, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate"}).to_dict()
    save_speed(home, MeasuredSpeed(recipe, [100.0], machine=this_machine()))
    started = run_instead(monkeypatch, "")
    wait_for_end(measurement)
    assert started == []


def test_who_chats_ends_it(measurement: BackgroundMeasurement, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_measurement, "ATTEMPTS", 1)
    endless = "import time\nwhile True: time.sleep(9)"
    started = run_instead(monkeypatch, endless, on_start=lambda: ChatActivity(home).report(1))
    wait_for_end(measurement)
    assert len(started) == 1


def test_a_chat_a_run_or_an_engine_that_is_not_ready_stand_in_its_way(
    measurement: BackgroundMeasurement, home: Home
) -> None:
    assert not measurement.is_disturbed()
    ChatActivity(home).report(2)
    assert measurement.is_disturbed()
    ChatActivity(home).report(0)
    assert not measurement.is_disturbed()
    create_run(home, Recipe.from_dict({"dataset_name": "pirate"}))
    assert measurement.is_disturbed()


def test_a_gpu_that_does_not_say_what_it_is_leaves_it_unmeasured(
    measurement: BackgroundMeasurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent() -> Gpu:
        raise UserError("The GPU could not be asked for its memory.", "See `python -m studio doctor`.")

    monkeypatch.setattr(background_measurement, "find_gpu", silent)
    assert not measurement.has_room()

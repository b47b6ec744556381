"""What a worker is doing, and how long the run still takes: told from what its phases have taken so far."""

from __future__ import annotations

from typing import Any

import pytest

from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training import phase
from core.training.phase import CHECKPOINT, EVALUATION, SAMPLES, TRAINING, Phase, PhaseReporter, read_phase
from core.training.run import Run, create_run


class Clock:
    """Stands in for the module time."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(phase, "time", clock)
    return clock


@pytest.fixture
def run(home: Home) -> Run:
    return create_run(home, Recipe.from_dict({"dataset_name": "pirate"}))


def told(run: Run) -> tuple[Any, ...]:
    found = read_phase(run)
    assert found is not None
    return found.name, found.done, found.total, found.left


def test_a_phase_is_told_with_its_progress_and_what_comes_after_it(run: Run, clock: Clock) -> None:
    assert read_phase(run) is None
    phases = PhaseReporter(run, lambda: 50.0, {CHECKPOINT: 2.0})
    phases.announce([EVALUATION, CHECKPOINT, SAMPLES])
    phases.begin(EVALUATION, total=10)
    assert told(run) == (EVALUATION, 0, 10, 52.0)
    clock.now += 3
    phases.advance()
    assert told(run) == (EVALUATION, 1, 10, 52.0 + 27)
    clock.now += 27
    phases.begin(CHECKPOINT)
    clock.now += 4
    phases.begin(SAMPLES, total=48)
    assert told(run) == (SAMPLES, 0, 48, 50.0)
    clock.now += 1
    phases.begin(TRAINING)
    assert told(run) == (TRAINING, 0, 0, 50.0)
    assert [phases.expected(name) for name in (EVALUATION, CHECKPOINT, SAMPLES)] == [30, 4, 1]


def test_nothing_is_said_of_the_end_before_a_speed_is_known(run: Run, clock: Clock) -> None:
    phases = PhaseReporter(run, lambda: None)
    phases.begin(TRAINING)
    assert told(run) == (TRAINING, 0, 0, None)


def test_it_is_written_twice_a_second_at_the_most(run: Run, clock: Clock) -> None:
    phases = PhaseReporter(run, lambda: 0.0)
    phases.begin(EVALUATION, total=100)
    for _ in range(9):
        clock.now += 0.05
        phases.advance()
    assert told(run)[1] == 0
    clock.now += 0.1
    phases.advance()
    assert told(run)[1] == 10


def test_what_is_left_goes_on_falling_between_two_words_of_the_worker() -> None:
    at_ten = Phase(EVALUATION, at=10.0, left=5.0)
    assert [at_ten.left_at(now) for now in (9.0, 10.0, 12.0, 99.0)] == [5.0, 5.0, 3.0, 0.0]

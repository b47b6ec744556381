"""What the page shows is right, and nothing that a person typed becomes markup."""

from __future__ import annotations

import pytest

from adapters.record import AdapterRecord
from core.training.events import Evaluation, Progress
from core.training.run import Summary
from core.training.state import RunState, Status, Transition
from studio.present import adapters_table, badge, curves, duration, progress, size, strip
from studio.processes import EngineStatus
from studio.side_by_side import Answer

EVIL = "<img src=x onerror=alert(1)>"


def summary(**changes: object) -> Summary:
    values = {"id": "r1", "name": "pirate", "state": RunState.TRAINING, "reason": "", "created": 0.0, "since": 0.0}
    return Summary(**{**values, "adapter": None, **changes})  # type: ignore[arg-type]


def point(step: int, loss: float) -> Progress:
    return Progress(step=step, max_steps=10, epoch=0.0, loss=loss, learning_rate=1e-3)


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (8.4, "8 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (11400, "3 h 10 min")]
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (7 << 20, "7.00 MiB")])
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


def test_curves_of_a_resumed_run_have_each_step_once_with_the_later_value() -> None:
    table = curves([point(1, 2.0), point(2, 1.5), point(2, 1.4), point(3, 1.0), Evaluation(step=2, eval_loss=1.6)])
    training = table[table.series == "training"]
    assert list(training.step) == [1, 2, 3]
    assert list(training.loss) == [2.0, 1.4, 1.0]
    assert list(table[table.series == "eval"].loss) == [1.6]


def test_the_badge_names_who_really_answered() -> None:
    answer = Answer(text="Arr", model="pirate", timings={"time_to_first_token": 0.012, "tokens_per_second": 55.4})
    shown = badge(answer, "base")
    assert "<b>pirate</b>" in shown
    assert "12 ms" in shown
    assert "base" not in shown


def test_nothing_given_becomes_markup() -> None:
    status = Status(timeline=(Transition(RunState.FAILED, 0.0, EVIL),))
    fragments = [
        strip(EngineStatus("loading", EVIL), summary(name=EVIL), 1),
        badge(Answer(error=EVIL), EVIL),
        badge(Answer(model=EVIL), EVIL),
        progress(summary(name=EVIL, reason=EVIL, notes=(EVIL,)), status),
        adapters_table([AdapterRecord(EVIL, EVIL)], [(EVIL, EVIL)], {}),
    ]
    for fragment in fragments:
        assert "<img" not in fragment
        assert "&lt;img" in fragment


def test_empty_states_say_what_to_do_next() -> None:
    assert "Start fine-tune" in progress(None, None)
    assert "Train" in adapters_table([], [], {})

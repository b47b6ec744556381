"""The trainer at full size on a card that is not there, and the planner's bytes against those that are alive there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rehearsal.plan import Compared, compare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("a_compiler")]
TWO_PER_CENT = 0.02
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("t4", "llama-2-7b", {}),
    ("t4", "llama-3.1-8b", {"max_length": 2048}),
    ("t4", "qwen2.5-1.5b", {"per_device_train_batch_size": 2, "lora_r": 128}),
    ("a100-40", "llama-3.1-8b", {"packing": True}),
]


def name_of(case: tuple[str, str, dict[str, Any]]) -> str:
    card, shape, settings = case
    return f"{shape} on {card} {' '.join(f'{name}={value}' for name, value in settings.items())}".strip()


@pytest.fixture(scope="module")
def compared(a_compiler: None) -> list[Compared]:
    return compare(CASES)


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(name_of, CASES))
def test_a_step_is_right_and_takes_what_the_plan_says(number: int, compared: list[Compared]) -> None:
    found = compared[number]
    assert not found.problems
    assert found.ratio == pytest.approx(1, abs=TWO_PER_CENT), str(found)

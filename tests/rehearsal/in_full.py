"""The rehearsal in full: `make rehearse`. All layers, all shapes on all cards, all recipes, all planted mistakes.

Its table of planned against simulated memory is docs/planner.md's: `python -m tests.rehearsal.table` prints it.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.card import PROCESSORS
from tests.rehearsal.plan import compare
from tests.rehearsal.planted import MISTAKES, Mistake, find_problems
from tests.rehearsal.recipes import VARIED
from tests.rehearsal.run import rehearse
from tests.rehearsal.verdict import problems_of_engine

pytestmark = pytest.mark.usefixtures("a_compiler")
TWO_PER_CENT = 0.02
ON_EVERY_CARD: list[dict[str, Any]] = [{}, {"max_length": 2048}, {"lora_r": 128}, {"packing": True}]
SHAPES = ("llama-2-7b", "llama-3.1-8b", "qwen2.5-1.5b")


def name_of(settings: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items()) or "as by default"


@pytest.mark.parametrize(("card", "shape"), product(PROCESSORS, SHAPES))
def test_the_engine_with_all_layers(card: str, shape: str) -> None:
    (report,) = rehearse("engine", [{"card": card, "shape": shape}])
    assert not problems_of_engine(report)


@pytest.mark.parametrize("settings", VARIED, ids=name_of)
def test_every_recipe_takes_what_the_plan_says(settings: dict[str, Any]) -> None:
    (found,) = compare([("t4", "llama-2-7b", settings)])
    assert not found.problems
    assert found.ratio == pytest.approx(1, abs=TWO_PER_CENT), str(found)


@pytest.mark.parametrize("settings", ON_EVERY_CARD, ids=name_of)
@pytest.mark.parametrize(("card", "shape"), product(PROCESSORS, SHAPES))
def test_every_shape_on_every_card_takes_what_the_plan_says(card: str, shape: str, settings: dict[str, Any]) -> None:
    (found,) = compare([(card, shape, settings)])
    assert not found.problems
    assert found.ratio == pytest.approx(1, abs=TWO_PER_CENT), str(found)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.name)
def test_a_planted_mistake_is_found(mistake: Mistake, tmp_path: Path) -> None:
    problems = find_problems(mistake, tmp_path)
    assert any(mistake.sign in problem for problem in problems), problems

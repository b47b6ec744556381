"""The engine at full width on a card that is not there. One layer stands for all: they are alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rehearsal.engine_scenes import RECORDED, SCENES
from tests.rehearsal.run import rehearse
from tests.rehearsal.verdict import problems_of_engine

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("a_compiler")]
CASES = [("t4", "llama-2-7b"), ("a100-40", "llama-3.1-8b"), ("t4", "qwen2.5-1.5b")]


@pytest.fixture(scope="module")
def reports(a_compiler: None) -> list[dict[str, Any]]:
    return rehearse("engine", [{"card": card, "shape": shape, "layers": 1} for card, shape in CASES])


@pytest.mark.parametrize("number", range(len(CASES)), ids=[" on ".join(reversed(case)) for case in CASES])
def test_it_serves_with_one_copy_in_and_one_wait_per_step(number: int, reports: list[dict[str, Any]]) -> None:
    report = reports[number]
    assert not problems_of_engine(report)
    assert [scene["name"] for scene in report["scenes"]] == [*SCENES, RECORDED]
    assert (report["choices"]["weights"], report["choices"]["check"]) == ("packed", "passed")

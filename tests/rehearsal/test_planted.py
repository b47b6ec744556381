"""The rehearsal sees what is planted, one mistake for each kind of sign. All of them: tests/rehearsal/in_full.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rehearsal.planted import MISTAKES, Mistake, find_problems

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("a_compiler")]
CHOSEN = ("B is fp32", "a list is copied while recording")


@pytest.mark.parametrize("mistake", [each for each in MISTAKES if each.name in CHOSEN], ids=lambda each: each.name)
def test_a_planted_mistake_is_found(mistake: Mistake, tmp_path: Path) -> None:
    problems = find_problems(mistake, tmp_path)
    assert any(mistake.sign in problem for problem in problems), problems

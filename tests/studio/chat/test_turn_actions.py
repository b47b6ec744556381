"""What a column shows after some of its turns were taken out."""

from __future__ import annotations

import pytest

from studio.answers.history import add_question, remove_turn, text_of, with_answer
from studio.chat.turn_actions import left, who_said

TALK = with_answer(add_question(with_answer(add_question(None, "one"), "1", "pirate"), "two"), "2", "radio")


@pytest.mark.parametrize(("turn", "stays", "said"), [(0, ["two", "2"], "radio"), (3, ["one", "1"], "pirate")])
def test_the_badge_is_that_of_the_answer_that_is_now_the_last(turn: int, stays: list[str], said: str) -> None:
    history, badge, *_ = left(remove_turn(TALK, turn))
    assert [text_of(each["content"]) for each in history] == stays
    assert f"<b>{said}</b>" in badge


def test_no_badge_names_what_a_blind_round_has_not_told() -> None:
    assert "<b>" not in who_said(with_answer(add_question(None, "one"), "1"))
    assert "<b>" not in who_said([])

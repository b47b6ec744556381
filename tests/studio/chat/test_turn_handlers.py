"""What a column shows after some of its turns were taken out."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from studio.answers.history import add_answer, add_question, text_of
from studio.chat.turn_handlers import delete_turn, last_answer_badge, undo_turn

TALK = add_answer(add_question(add_answer(add_question(None, "one"), "1", "pirate"), "two"), "2", "radio")


@pytest.mark.parametrize(("turn", "stays", "said"), [(0, ["two", "2"], "radio"), (3, ["one", "1"], "pirate")])
def test_the_badge_is_that_of_the_answer_that_is_now_the_last(turn: int, stays: list[str], said: str) -> None:
    history, badge, *_ = delete_turn(TALK, turn)
    assert [text_of(message["content"]) for message in history] == stays
    assert f"<b>{said}</b>" in badge


def test_undoing_takes_out_the_last_turn() -> None:
    history, badge, *_ = undo_turn(TALK)
    assert [text_of(message["content"]) for message in history] == ["one", "1"]
    assert "<b>pirate</b>" in badge
    with pytest.raises(UserError, match="not there any more"):
        delete_turn(history, 2)


def test_no_badge_names_what_a_blind_round_has_not_told() -> None:
    assert "<b>" not in last_answer_badge(add_answer(add_question(None, "one"), "1"))
    assert "<b>" not in last_answer_badge([])

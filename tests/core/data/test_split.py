"""The eval half never holds what was trained on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.common.errors import UserError
from core.data import Conversation, Message, split


def conversation(row: int, *contents: str) -> Conversation:
    return Conversation(
        row, [Message(role=("user", "assistant")[index % 2], content=text) for index, text in enumerate(contents)]
    )


exchanges = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1, max_size=3)
datasets = st.lists(exchanges, min_size=0, max_size=40).map(
    lambda talks: [conversation(row, *sum(talk, ())) for row, talk in enumerate(talks, start=1)]
)


@settings(max_examples=80)
@given(datasets, st.floats(0, 0.9), st.integers(0, 5))
def test_nothing_is_lost_and_no_duplicate_is_on_both_sides(
    data: list[Conversation], fraction: float, seed: int
) -> None:
    train, held_out = split(data, fraction, seed)
    assert sorted(conversation.row for conversation in train + held_out) == [conversation.row for conversation in data]
    assert (train, held_out) == split(data, fraction, seed)

    def texts(part: list[Conversation]) -> set[tuple[str, ...]]:
        return {tuple(message["content"] for message in conversation.messages) for conversation in part}

    assert not texts(train) & texts(held_out)
    assert train or not data


def test_about_the_fraction_is_held_out_and_another_seed_holds_out_others() -> None:
    data = [conversation(row, f"question {row}", "answer") for row in range(1, 201)]
    train, held_out = split(data, 0.05, 0)
    assert (len(train), len(held_out)) == (190, 10)
    assert held_out != split(data, 0.05, 1)[1]
    assert [conversation.row for conversation in train] == sorted(conversation.row for conversation in train)


def test_conversations_that_begin_alike_stay_together() -> None:
    trees = [
        conversation(10 * tree + n, f"Q{tree}", "A ", *(("more", str(n)) * n)) for tree in range(20) for n in range(3)
    ]
    for seed in range(10):
        train, held_out = split(trees, 0.1, seed)
        assert held_out
        assert not {conversation.row // 10 for conversation in train} & {
            conversation.row // 10 for conversation in held_out
        }


def test_case_and_white_space_do_not_make_a_difference() -> None:
    data = [
        conversation(1, "Hello  there", "Yes"),
        conversation(2, "hello there", "yes\n"),
        conversation(3, "Bye", "No"),
    ]
    for seed in range(5):
        _, held_out = split(data, 0.4, seed)
        assert [conversation.row for conversation in held_out] == [3]


def test_a_greeting_that_all_share_does_not_prevent_a_split() -> None:
    data = [conversation(row, "Hi", "Hello!", f"question {row}", "answer") for row in range(1, 21)]
    train, held_out = split(data, 0.1, 0)
    assert (len(train), len(held_out)) == (18, 2)


def test_no_fraction_and_a_single_conversation_hold_out_nothing() -> None:
    data = [conversation(1, "a", "b"), conversation(2, "c", "d")]
    assert split(data, 0, 0) == (data, [])
    assert split(data[:1], 0.5, 0) == (data[:1], [])
    assert split([], 0.5, 0) == ([], [])


def test_a_fraction_outside_its_range_is_refused() -> None:
    with pytest.raises(UserError, match=r"eval_fraction is 1\.5"):
        split([], 1.5, 0)

"""Searching a dataset's conversations."""

from __future__ import annotations

from studio.data.search import find_conversations, neighbour
from tests.studio.data.conversations import dataset_of


def test_search_looks_into_all_messages_in_any_case_and_goes_round() -> None:
    dataset = dataset_of("A red\nfox.", "A dog.", "The RED FOX again.")
    assert find_conversations(dataset, "red fox") == [1, 3]
    assert find_conversations(dataset, "question 2") == [2]
    assert find_conversations(dataset, " ") == [1, 2, 3]
    assert [neighbour([1, 3], 1, 1), neighbour([1, 3], 3, 1), neighbour([1, 3], 1, -1)] == [3, 1, 3]

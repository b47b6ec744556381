"""Which conversations of a dataset are counted."""

from __future__ import annotations

from studio.data.token_counts import sampled_numbers


def test_of_a_large_dataset_some_are_drawn_always_the_same_ones() -> None:
    assert len(set(sampled_numbers(2500))) == 2000
    assert sampled_numbers(2500) == sampled_numbers(2500) == sorted(sampled_numbers(2500))
    assert sampled_numbers(3) == [1, 2, 3]

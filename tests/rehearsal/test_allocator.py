"""The model of CUDA's allocator, on sequences whose outcome its source tells."""

from __future__ import annotations

from tests.rehearsal.allocator import MIB, Taken, replay


def test_small_tensors_share_a_segment_of_2_mib() -> None:
    assert replay([(1, 0), (MIB, 1), (1000, 2)]) == Taken(2 * MIB, 2 * MIB, 2 * MIB)


def test_a_large_tensor_has_a_segment_of_its_own_in_steps_of_2_mib() -> None:
    assert replay([(10 * MIB + 1, 0)]).held == 12 * MIB
    assert replay([(3 * MIB, 0), (4 * MIB, 1)]).held == 20 * MIB


def test_what_is_freed_is_taken_again_where_it_fits() -> None:
    assert replay([(12 * MIB, 0), (-1, 0), (12 * MIB, 1)]).reserved == 12 * MIB
    assert replay([(12 * MIB, 0), (-1, 0), (13 * MIB, 1)]) == Taken(14 * MIB, 26 * MIB, 20 * MIB)


def test_freed_neighbours_are_joined() -> None:
    parts = [(5 * MIB, number) for number in range(4)]
    assert replay([*parts, (-1, 1), (-1, 2), (10 * MIB - 512, 9)]).held == 20 * MIB
    assert replay([*parts, (-1, 0), (-1, 2), (10 * MIB - 512, 9)]).held == 40 * MIB


def test_a_segment_in_which_one_tensor_lives_is_held_as_a_whole() -> None:
    assert replay([(5 * MIB, 0), (5 * MIB, 1), (-1, 0), (20 * MIB, 2)]).held == 40 * MIB


def test_an_expandable_segment_grows_where_others_are_left_empty() -> None:
    taken = replay([(100 * MIB, 0), (-1, 0), (120 * MIB, 1), (-1, 1), (140 * MIB, 2)])
    assert taken == Taken(held=140 * MIB, reserved=360 * MIB, expandable=140 * MIB)

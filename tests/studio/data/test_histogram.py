"""The histogram of a dataset's lengths in tokens."""

from __future__ import annotations

import re
from itertools import pairwise, product
from xml.etree import ElementTree

import pytest

from studio.data.histogram import bin_label, bins, render_histogram


def bars(svg: str) -> list[tuple[str, int]]:
    """(within or over, conversations) of each bar."""
    return [(kind, int(count)) for kind, count in re.findall(r'<rect class="(\w+)".*?: (\d+) conversations', svg)]


@pytest.mark.parametrize(
    ("lengths", "max_length", "over"),
    [([10, 20, 30, 512, 513, 900], 512, 2), ([5], 512, 0), ([7, 8, 9], 8, 1), ([1, 1, 1], 1, 0), ([40, 41], 3, 2)],
)
def test_every_conversation_is_in_one_bar_on_the_right_side_of_max_length(
    lengths: list[int], max_length: int, over: int
) -> None:
    svg = render_histogram(lengths, max_length)
    drawn_bars = bars(svg)
    assert sum(count for _, count in drawn_bars) == len(lengths)
    assert sum(count for kind, count in drawn_bars if kind == "over") == over
    assert f"{over} of them over max_length {max_length}" in (ElementTree.fromstring(svg).findtext("title") or "")


@pytest.mark.parametrize("lengths", [[1], [3, 5], [2, 9, 9, 14], list(range(1, 41)), [30, 900], [5, 200_000], [0]])
def test_bars_are_a_few_whole_ranges_of_tokens_that_hold_every_length(lengths: list[int]) -> None:
    for max_length, bars in product([1, 2, 16, 27, 512, 4096], [10, 28]):
        edges, counts = bins(lengths, max_length, bars)
        assert edges[0] == 0 and all(before < after for before, after in pairwise(edges)), max_length
        assert edges[-1] >= max(lengths) and len(counts) <= bars + 1, max_length
        assert max_length in edges or max_length > 3 * max(1, *lengths)
        for index, count in enumerate(counts):
            first, _, last = bin_label(edges, index).replace(",", "").partition(" to ")
            held = [length for length in lengths if int(first) <= max(1, length) <= int(last or first)]
            assert len(held) == count, (max_length, bars)

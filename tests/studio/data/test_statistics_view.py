"""A dataset's lengths in tokens as figures."""

from __future__ import annotations

import re

from studio.data.statistics_view import render_statistics
from studio.data.token_counts import TokenCounts


def counted(lengths: list[int | None], trained: list[int], first: list[int], of: int | None = None) -> TokenCounts:
    numbers = list(range(1, len(lengths) + 1))
    rows = [None if row[0] is None else [(row[0], row[1], row[2])] for row in zip(lengths, trained, first, strict=True)]
    return TokenCounts.from_rows(of or len(lengths), numbers, rows)


def test_figures_say_what_is_cut_and_how_full_packing_is() -> None:
    text = render_statistics(counted([50, 50, 100, 150], [20, 20, 60, 75], [9] * 4), 100)
    assert "mean 88, p50 50, p95 150, max 150" in text
    assert "<b>Trained</b> 50% of all tokens" in text
    assert "1 of 4 (14.3% of all tokens are cut)" in text
    assert "3 rows of 100 instead of 4, 100% full" in text


def test_conversations_that_are_cut_are_listed_with_what_is_lost_and_a_way_to_them() -> None:
    text = render_statistics(counted([50, 300, 1150, None], [20, 20, 60, 0], [9, 99, 110, 0]), 100)
    assert "2 over max_length: which, and how much is cut" in text
    first, second = re.findall(r"<tr><td>(.*?)</tr>", text)
    assert 'data-look="conversation" data-value="3"' in first
    assert "1,050 tokens after token 100, and no answer begins before" in first
    assert 'data-value="2"' in second
    assert second.endswith("200 tokens after token 100</td>")
    assert "Nothing of 1 conversation would be trained" in text
    assert "chat template refuses 1 conversation. <button" in text


def test_a_large_dataset_is_counted_in_part_and_the_page_says_so() -> None:
    text = render_statistics(counted([9] * 1990 + [None] * 10, [3] * 2000, [1] * 2000, of=2500), 100)
    assert "Counted over 2000 of the 2500 conversations" in text
    assert "refuses 10 conversations" in text


def test_a_conversation_of_several_rows_is_counted_row_by_row() -> None:
    result = TokenCounts.from_rows(2, [1, 2], [[(10, 4, 6), (30, 5, 25)], [(20, 6, 9)]])
    text = render_statistics(result, 25)
    assert "<b>Tokens per training row</b> mean 20" in text
    assert "1 of 3" in text and "drawn at random" not in text
    assert "3 training rows of 10 to 30 tokens" in text

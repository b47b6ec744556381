"""A dataset's tokens as figures, as a histogram and one by one; and searching it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import CheckedDataset, Conversation, Message, read_dataset
from studio.data.token_view import (
    Measured,
    bins,
    drawn,
    figures,
    found,
    histogram,
    measured,
    neighbour,
    span,
    token_view,
)
from studio.engine.tokenizer_process import TokenizerProcess


def dataset_of(*answers: str) -> CheckedDataset:
    conversations = [
        Conversation(row, [Message(role="user", content=f"Question {row}"), Message(role="assistant", content=answer)])
        for row, answer in enumerate(answers, start=1)
    ]
    return CheckedDataset("mine", "file", "messages", "", len(answers), conversations, [], "")


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
    svg = histogram(lengths, max_length)
    drawn_bars = bars(svg)
    assert sum(count for _, count in drawn_bars) == len(lengths)
    assert sum(count for kind, count in drawn_bars if kind == "over") == over
    assert f"{over} of them over max_length {max_length}" in (ElementTree.fromstring(svg).findtext("title") or "")


def counted(lengths: list[int | None], trained: list[int], first: list[int], of: int | None = None) -> Measured:
    numbers = list(range(1, len(lengths) + 1))
    rows = [
        None if length is None else [(length, *rest)] for length, *rest in zip(lengths, trained, first, strict=True)
    ]
    return measured(of or len(lengths), numbers, rows)


@pytest.mark.parametrize("bars", [10, 28])
@pytest.mark.parametrize("max_length", [1, 2, 16, 27, 512, 4096])
@pytest.mark.parametrize("lengths", [[1], [3, 5], [2, 9, 9, 14], list(range(1, 41)), [30, 900], [5, 200_000], [0]])
def test_bars_are_a_few_whole_ranges_of_tokens_that_hold_every_length(
    lengths: list[int], max_length: int, bars: int
) -> None:
    edges, counts = bins(lengths, max_length, bars)
    assert edges[0] == 0 and all(before < after for before, after in pairwise(edges))
    assert edges[-1] >= max(lengths) and len(counts) <= bars + 1
    assert max_length in edges or max_length > 3 * max(1, *lengths)
    for index, count in enumerate(counts):
        first, _, last = span(edges, index).replace(",", "").partition(" to ")
        held = [each for each in lengths if int(first) <= max(1, each) <= int(last or first)]
        assert len(held) == count


def test_figures_say_what_is_cut_and_how_full_packing_is() -> None:
    text = figures(counted([50, 50, 100, 150], [20, 20, 60, 75], [9] * 4), 100)
    assert "mean 88, p50 50, p95 150, max 150" in text
    assert "<b>Trained</b> 50% of all tokens" in text
    assert "1 of 4 (14.3% of all tokens are cut)" in text
    assert "3 rows of 100 instead of 4, 100% full" in text


def test_conversations_that_are_cut_are_listed_with_what_is_lost_and_a_way_to_them() -> None:
    text = figures(counted([50, 300, 1150, None], [20, 20, 60, 0], [9, 99, 110, 0]), 100)
    assert "2 over max_length: which, and how much is cut" in text
    first, second = re.findall(r"<tr><td>(.*?)</tr>", text)
    assert 'data-look="conversation" data-value="3"' in first
    assert "1,050 tokens after token 100, and no answer begins before" in first
    assert 'data-value="2"' in second
    assert second.endswith("200 tokens after token 100</td>")
    assert "Nothing of 1 conversation would be trained" in text
    assert "chat template refuses 1 conversation. <button" in text


def test_a_large_dataset_is_counted_in_part_and_the_page_says_so() -> None:
    assert len(set(drawn(2500))) == 2000
    assert drawn(2500) == drawn(2500) == sorted(drawn(2500))
    assert drawn(3) == [1, 2, 3]
    text = figures(counted([9] * 1990 + [None] * 10, [3] * 2000, [1] * 2000, of=2500), 100)
    assert "Counted over 2000 of the 2500 conversations" in text
    assert "refuses 10 conversations" in text


def test_tokens_are_escaped_marked_and_cut() -> None:
    tokens = [("<|user|>", 1, False, True), ("<b>", 2, False, False), ("\n", 3, True, False), ("late", 4, True, False)]
    text = token_view([tokens], 3)
    assert "4 tokens, 1 of them trained; the last 1 are cut at max_length 3" in text
    assert '<span class="t special" title="token 1, id 1, special">&lt;|user|&gt;</span>' in text
    assert '<span class="t trained" title="token 3, id 3, trained">↵\n</span>' in text
    assert text.index("cutline") < text.index('<span class="t cut" title="token 4, id 4, cut">late</span>')
    assert "<b>" not in text


def test_a_conversation_of_several_rows_is_counted_and_shown_row_by_row() -> None:
    result = measured(2, [1, 2], [[(10, 4, 6), (30, 5, 25)], [(20, 6, 9)]])
    text = figures(result, 25)
    assert "<b>Tokens per training row</b> mean 20" in text
    assert "1 of 3" in text and "drawn at random" not in text
    assert "3 training rows of 10 to 30 tokens" in text
    row = [("a", 1, False, False), ("b", 2, True, False)]
    shown = token_view([row, row * 2], 3)
    assert "Row 1 of 2: 2 tokens, 1 of them trained." in shown
    assert "Row 2 of 2: 4 tokens, 1 of them trained; the last 1 are cut" in shown
    assert shown.count('role="region"') == 2


def test_search_looks_into_all_messages_in_any_case_and_goes_round() -> None:
    dataset = dataset_of("A red\nfox.", "A dog.", "The RED FOX again.")
    assert found(dataset, "red fox") == [1, 3]
    assert found(dataset, "question 2") == [2]
    assert found(dataset, " ") == [1, 2, 3]
    assert [neighbour([1, 3], 1, 1), neighbour([1, 3], 3, 1), neighbour([1, 3], 1, -1)] == [3, 1, 3]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenizerProcess]:
    process = TokenizerProcess(Home.open(tmp_path_factory.mktemp("tokenizer")), "builtin")
    yield process
    process.close()


def test_the_tokenizers_process_tells_tokens_as_they_are_trained(tokenizer: TokenizerProcess) -> None:
    conversation = dataset_of("Grün, naïve 🦙 — said\n\ttwice.").conversations[0]
    (tokens,) = tokenizer.view(conversation)
    text = "".join(each[0] for each in tokens)
    assert "Grün, naïve 🦙 — said\n\ttwice." in text
    trained = "".join(each[0] for each in tokens if each[2] and not each[3])
    assert trained.strip() == "Grün, naïve 🦙 — said\n\ttwice."
    assert any(each[3] for each in tokens)
    first = next(index for index, each in enumerate(tokens) if each[2])
    assert tokenizer.count([conversation]) == [[(len(tokens), sum(each[2] for each in tokens), first)]]


def test_a_tokenizer_that_ended_is_started_again(tokenizer: TokenizerProcess) -> None:
    conversations = read_dataset("pirate").conversations[:3]
    before = tokenizer.count(conversations)
    tokenizer.close()
    assert not tokenizer.running
    assert tokenizer.count(conversations) == before


def test_a_base_without_a_tokenizer_is_told_in_plain_words(home: Home) -> None:
    with pytest.raises(UserError, match="neither 'builtin', nor a folder, nor a Hub id"):
        TokenizerProcess(home, "no base!").view(dataset_of("Yes.").conversations[0])

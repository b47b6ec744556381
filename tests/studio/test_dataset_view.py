"""A dataset's tokens as figures, as a histogram and one by one; and searching it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from core.data import CheckedDataset, Conversation, Message, read_dataset
from core.errors import UserError
from core.home import Home
from studio.dataset_view import Measured, drawn, figures, found, histogram, neighbour, token_view
from studio.tokenizer_process import Tokenizer


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


def test_figures_say_what_is_cut_and_how_full_packing_is() -> None:
    text = figures(Measured(4, [50, 50, 100, 150], [20, 20, 60, 75]), 100)
    assert "mean 88, p50 50, p95 150, max 150" in text
    assert "<b>Trained</b> 50% of all tokens" in text
    assert "1 of 4 (14.3% of all tokens are cut)" in text
    assert "3 rows of 100 instead of 4, 100% full" in text


def test_a_large_dataset_is_counted_in_part_and_the_page_says_so() -> None:
    large = dataset_of(*["Yes."] * 2500)
    assert len(drawn(large)) == 2000
    assert drawn(large) == drawn(large)
    assert "Counted over 2000 of the 2500 conversations" in figures(Measured(2500, [9] * 1990, [3] * 1990, 10), 100)
    assert "refuses 10 conversations" in figures(Measured(2500, [9] * 1990, [3] * 1990, 10), 100)


def test_tokens_are_escaped_marked_and_cut() -> None:
    tokens = [("<|user|>", 1, False, True), ("<b>", 2, False, False), ("\n", 3, True, False), ("late", 4, True, False)]
    text = token_view(tokens, 3)
    assert "4 tokens, 1 of them trained; the last 1 are cut at max_length 3" in text
    assert '<span class="t special" title="token 1, id 1, special">&lt;|user|&gt;</span>' in text
    assert '<span class="t trained" title="token 3, id 3, trained">↵\n</span>' in text
    assert text.index("cutline") < text.index('<span class="t cut" title="token 4, id 4, cut">late</span>')
    assert "<b>" not in text


def test_search_looks_into_all_messages_in_any_case_and_goes_round() -> None:
    dataset = dataset_of("A red\nfox.", "A dog.", "The RED FOX again.")
    assert found(dataset, "red fox") == [1, 3]
    assert found(dataset, "question 2") == [2]
    assert found(dataset, " ") == [1, 2, 3]
    assert [neighbour([1, 3], 1, 1), neighbour([1, 3], 3, 1), neighbour([1, 3], 1, -1)] == [3, 1, 3]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokenizer]:
    process = Tokenizer(Home.open(tmp_path_factory.mktemp("tokenizer")), "builtin")
    yield process
    process.close()


def test_the_tokenizers_process_tells_tokens_as_they_are_trained(tokenizer: Tokenizer) -> None:
    conversation = dataset_of("Grün, naïve 🦙 — said\n\ttwice.").conversations[0]
    tokens = tokenizer.view(conversation)
    text = "".join(each[0] for each in tokens)
    assert "Grün, naïve 🦙 — said\n\ttwice." in text
    trained = "".join(each[0] for each in tokens if each[2] and not each[3])
    assert trained.strip() == "Grün, naïve 🦙 — said\n\ttwice."
    assert any(each[3] for each in tokens)
    assert tokenizer.count([conversation]) == ([len(tokens)], [sum(each[2] for each in tokens)])


def test_a_tokenizer_that_ended_is_started_again(tokenizer: Tokenizer) -> None:
    conversations = read_dataset("pirate").conversations[:3]
    before = tokenizer.count(conversations)
    tokenizer.close()
    assert not tokenizer.running
    assert tokenizer.count(conversations) == before


def test_a_base_without_a_tokenizer_is_told_in_plain_words(home: Home) -> None:
    with pytest.raises(UserError, match="neither 'builtin', nor a folder, nor a Hub id"):
        Tokenizer(home, "no base!").view(dataset_of("Yes.").conversations[0])

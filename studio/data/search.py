"""Searching the conversations of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from core.data import CheckedDataset


def find_conversations(dataset: CheckedDataset, query: str | None) -> list[int]:
    """Numbers (from 1) of the conversations in which some message holds `query`, in any case; all if it is empty."""
    wanted = folded(query or "")
    return [
        number
        for number, conversation in enumerate(dataset.conversations, start=1)
        if not wanted or any(wanted in folded(message["content"]) for message in conversation.messages)
    ]


def folded(text: str) -> str:
    """In lower case, with single spaces."""
    return " ".join(text.casefold().split())


def neighbour(numbers: Sequence[int], current: int, step: int) -> int:
    """The next (step 1) or previous (-1) of ascending `numbers` as seen from `current`, around the end."""
    if step > 0:
        return next((number for number in numbers if number > current), numbers[0])
    return next((number for number in reversed(numbers) if number < current), numbers[-1])

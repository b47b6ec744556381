"""How many tokens the conversations of a dataset have, as the base's own template and tokenizer make them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

MAX_COUNTED = 2000  # conversations; of a larger dataset as many are drawn, and the page says so


@dataclass(frozen=True)
class TokenCounts:
    """Of each counted training row, before anything is cut: the number of its conversation in the dataset (from 1), its
    tokens, how many of them are trained, and the position of the first of these (from 0). A conversation is one row, or
    several where the base's template writes earlier answers anew. `refused`: numbers that the template refuses."""

    conversations: int
    numbers: list[int]
    lengths: list[int]
    trained: list[int]
    first: list[int]
    refused: list[int]

    @classmethod
    def from_rows(
        cls, conversations: int, numbers: Sequence[int], rows: Sequence[Sequence[tuple[int, int, int]] | None]
    ) -> TokenCounts:
        """From what Tokenizer.count gives for the conversations `numbers`: their rows, or None for a refused one."""
        pairs = list(zip(numbers, rows, strict=True))
        counted = [(number, *row) for number, its_rows in pairs for row in its_rows or ()]
        refused = [number for number, its_rows in pairs if its_rows is None]
        columns = [list(column) for column in zip(*counted, strict=True)] or [[], [], [], []]
        return cls(conversations, columns[0], columns[1], columns[2], columns[3], refused)

    @property
    def unit(self) -> str:
        """What a length is one of."""
        return "conversation" if len(set(self.numbers)) == len(self.numbers) else "training row"

    def over(self, max_length: int) -> list[tuple[int, int, bool]]:
        """(number, tokens, whether anything is left to train) of those that are cut, the longest first."""
        rows = zip(self.numbers, self.lengths, self.first, strict=True)
        cut = [(number, length, first < max_length) for number, length, first in rows if length > max_length]
        return sorted(cut, key=lambda row: -row[1])


def sampled_numbers(conversations: int) -> list[int]:
    """Numbers (from 1) of the conversations to count: all, or MAX_COUNTED of them, always the same ones."""
    if conversations <= MAX_COUNTED:
        return list(range(1, conversations + 1))
    return sorted(random.Random(0).sample(range(1, conversations + 1), MAX_COUNTED))

"""Texts to token ids with the characters that each covers, and where a part of a text ends between two tokens."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenize_with_offsets(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and the characters that each covers; the template has written the special tokens itself."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return list(encoded["input_ids"]), list(encoded["offset_mapping"])


class TokenBoundaries:
    """Tells where the tokens of a text begin with those of a part of it, without tokenising every such part whole."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, text: str, input_ids: list[int], offsets: list[tuple[int, int]]
    ) -> None:
        self.tokenizer, self.text, self.input_ids, self.offsets = tokenizer, text, input_ids, offsets
        self.starts = [start for start, _ in offsets]
        self.added = {number: token.content for number, token in tokenizer.added_tokens_decoder.items()}
        self.known: dict[str, list[int]] = {}

    def before(self, end: int) -> int:
        """How many tokens begin before character `end`."""
        return bisect_left(self.starts, end)

    def at(self, end: int) -> int | None:
        """How many tokens text[:end] has, if they are the first ones of the whole text; else None.

        An added token stands by itself, so that only what follows the last one before `end` is tokenised again.
        """
        count = self.before(end)
        first = next((at for at in range(count - 1, -1, -1) if self._stands_alone(at)), 0)
        part = self.text[self.offsets[first][0] if first else 0 : end]
        if part not in self.known:
            self.known[part] = tokenize_with_offsets(self.tokenizer, part)[0]
        return count if self.known[part] == self.input_ids[first:count] else None

    def _stands_alone(self, at: int) -> bool:
        content = self.added.get(self.input_ids[at])
        return content is not None and self.text.startswith(content, self.starts[at])

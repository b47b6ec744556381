"""What the training rows of a dataset are like: how long, how much of them is trained, what is not word for word."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.common.errors import UserError
from core.data.dataset import CheckedDataset, Conversation, Problem
from core.data.tokenize.encode import Encoded, count_trained, encode
from core.data.tokenize.end_of_turn import find_end_of_turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenStats:
    """Lengths in tokens per training row under one template, before anything is cut: mostly one per conversation.

    `trained_share` is trained tokens over all tokens (0 to 1); `over_max_length` counts rows.
    """

    mean: float
    p50: int
    p95: int
    max: int
    trained_share: float
    over_max_length: int


class EncodingNotes:
    """What the rows of a dataset are not word for word, to be told once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.conversations = self.rows = self.dropped = self.ended = 0

    def add(self, encoded: Encoded) -> None:
        self.conversations += 1
        self.rows += len(encoded.examples)
        self.dropped += encoded.dropped
        self.ended += encoded.ended

    def sentences(self) -> list[str]:
        sentences = []
        if self.rows > self.conversations:
            sentences.append(
                f"Under the base's chat template an earlier answer is written otherwise than when it was the newest: "
                f"{self.conversations:,} conversations become {self.rows:,} rows, each an answer after the history "
                f"that chat would send."
            )
        if self.dropped:
            sentences.append(
                f"What was thought (reasoning) is left out in {self.dropped:,} of {self.conversations:,} "
                "conversations: the base's chat template has no place for it."
            )
        if self.ended:
            end = find_end_of_turn(self.tokenizer).appended
            sentences.append(
                f"The base's chat template writes no end of its own behind an answer: {end} was put there, in "
                f"{self.ended:,} of {self.conversations:,} conversations."
            )
        return sentences


class TokenCounter:
    """Collects token lengths one conversation at a time: four bytes of memory for each row that it becomes."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.lengths = array("I")
        self.trained = 0
        self.encoding_notes = EncodingNotes(tokenizer)
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []

    def add(self, conversation: Conversation) -> None:
        """A conversation that the template refuses is collected as a problem, one that will be cut as a note."""
        try:
            encoded = encode(self.tokenizer, conversation.messages, conversation.tools)
        except UserError as error:
            self.problems.append(Problem(conversation.row, error.message, error.remedy))
            return
        self.encoding_notes.add(encoded)
        longest = trained = kept = 0
        for example in encoded.examples:
            length = len(example["input_ids"])
            longest = max(longest, length)
            trained += count_trained(example["labels"])
            kept += count_trained(example["labels"][: self.max_length])
            self.lengths.append(length)
        self.trained += trained
        if longest > self.max_length:
            loss = f"{trained - kept} of its {trained} trained tokens" if kept else "all that it would teach"
            self.notes.append(
                Problem(
                    conversation.row,
                    f"It has {longest} tokens; what is beyond {self.max_length} is cut, and with it {loss}.",
                    "Shorten it, or raise max_length.",
                )
            )

    def stats(self) -> TokenStats:
        lengths = sorted(self.lengths)
        if not lengths:
            return TokenStats(0.0, 0, 0, 0, 0.0, 0)
        total = sum(lengths)
        return TokenStats(
            mean=total / len(lengths),
            p50=percentile(lengths, 50),
            p95=percentile(lengths, 95),
            max=lengths[-1],
            trained_share=self.trained / total,
            over_max_length=sum(length > self.max_length for length in lengths),
        )


def percentile(ordered: list[int], percent: int) -> int:
    """The nearest-rank percentile: the smallest value that at least `percent` % of all do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def token_stats(dataset: CheckedDataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenStats:
    """Over the rows of all conversations that the tokenizer's template takes; see TokenCounter for those it refuses."""
    counter = TokenCounter(tokenizer, max_length)
    for conversation in dataset.conversations:
        counter.add(conversation)
    return counter.stats()

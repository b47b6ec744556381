"""Conversations to token ids and labels, for any chat template: only what the assistant says is trained."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from core.data.records import CheckedDataset, Conversation, Message, Problem, Tools
from core.data.spans import trained_spans
from core.data.template import Template
from core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100


class Example(TypedDict):
    """Equally long lists; labels are IGNORED except where the assistant speaks."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class TokenStats:
    """Lengths in tokens per conversation under one template, before anything is cut.

    `trained_share` is trained tokens over all tokens (0 to 1); `over_max_length` counts conversations.
    """

    mean: float
    p50: int
    p95: int
    max: int
    trained_share: float
    over_max_length: int


def encode(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message], max_length: int | None, tools: Tools | None = None
) -> Example:
    """Token ids of the rendered conversation, cut after `max_length`, and labels.

    Trained is what the model must produce after the generation prompt: the answer's words (or the calls of tools) and
    the end-of-turn token directly behind them, but for turns of weight 0. A conversation cut before its first answer
    has no trained label at all. A system message that the template has no place for is put before the first question,
    as its makers advise (Gemma, early Mistral). Raises UserError where the template refuses the conversation, rewrites
    its answers, or leaves out what concerns tools.

    Plain text (role "text") is trained whole, with the end-of-text token after it.
    """
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer {type(tokenizer).__name__} cannot say which characters a token covers.",
            "Choose a base with a fast tokenizer (tokenizer.json).",
        )
    if messages[0]["role"] == "text":
        return encode_plain(tokenizer, messages[0]["content"], max_length)
    template = Template(tokenizer, tools)
    text, messages = template.render_whole(messages)
    spans = trained_spans(template, messages, text)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    input_ids: list[int] = encoded["input_ids"]
    labels = [IGNORED] * len(input_ids)
    position = 0
    for index, (start, end) in enumerate(encoded["offset_mapping"]):
        while position < len(spans) and spans[position][1] <= start:
            position += 1
        if position < len(spans) and end > spans[position][0]:
            labels[index] = input_ids[index]
    return Example(input_ids=input_ids[:max_length], labels=labels[:max_length])


def encode_plain(tokenizer: PreTrainedTokenizerBase, text: str, max_length: int | None) -> Example:
    input_ids = [*tokenizer(text, verbose=False)["input_ids"]]
    if tokenizer.eos_token_id is not None and input_ids[-1:] != [tokenizer.eos_token_id]:
        input_ids.append(tokenizer.eos_token_id)
    return Example(input_ids=input_ids[:max_length], labels=input_ids[:max_length])


class TokenCounter:
    """Collects token lengths one conversation at a time: four bytes of memory each."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.lengths = array("I")
        self.trained = 0
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []

    def add(self, conversation: Conversation) -> None:
        """A conversation that the template refuses is collected as a problem, one that will be cut as a note."""
        try:
            example = encode(self.tokenizer, conversation.messages, None, conversation.tools)
        except UserError as error:
            self.problems.append(Problem(conversation.row, error.message, error.remedy))
            return
        length = len(example["input_ids"])
        trained = sum(label != IGNORED for label in example["labels"])
        self.lengths.append(length)
        self.trained += trained
        if length > self.max_length:
            kept = sum(label != IGNORED for label in example["labels"][: self.max_length])
            loss = f"{trained - kept} of its {trained} trained tokens" if kept else "all that it would teach"
            self.notes.append(
                Problem(
                    conversation.row,
                    f"It has {length} tokens; what is beyond {self.max_length} is cut, and with it {loss}.",
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
    """Over all conversations that the tokenizer's template takes; see TokenCounter for those it refuses."""
    counter = TokenCounter(tokenizer, max_length)
    for conversation in dataset.conversations:
        counter.add(conversation)
    return counter.stats()

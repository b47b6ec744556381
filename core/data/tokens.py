"""Conversations to token ids and labels, for any chat template: only what the assistant says is trained."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from core.data.records import CheckedDataset, Conversation, Message, Problem
from core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
# Stands for an answer while the template is probed. One word without white space, so that no template trims it.
PLACEHOLDER = "⟦answer{}⟧"


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


def encode(tokenizer: PreTrainedTokenizerBase, messages: list[Message], max_length: int | None) -> Example:
    """Token ids of the rendered conversation, cut after `max_length`, and labels.

    Trained is what the model must produce after the generation prompt: the answer's words and the end-of-turn token
    directly behind them. A conversation cut before its first answer has no trained label at all. A system message that
    the template has no place for is put before the first question, as its makers advise (Gemma, early Mistral).
    Raises UserError where the template refuses the conversation or rewrites its answers.

    Plain text (role "text") is trained whole, with the end-of-text token after it.
    """
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer {type(tokenizer).__name__} cannot say which characters a token covers.",
            "Choose a base with a fast tokenizer (tokenizer.json).",
        )
    if messages[0]["role"] == "text":
        return encode_plain(tokenizer, messages[0]["content"], max_length)
    text, messages = render_whole(tokenizer, messages)
    spans = answer_spans(tokenizer, messages, text)
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


def render(tokenizer: PreTrainedTokenizerBase, messages: list[Message], *, prompt: bool = False) -> str:
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    return text


def render_whole(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> tuple[str, list[Message]]:
    """The rendered text, and the messages as rendered: the system message folded in where there is no place for it.

    Some templates raise on a system message, others leave it out without a word.
    """
    from jinja2 import TemplateError

    has_system = bool(messages) and messages[0]["role"] == "system"
    try:
        text = render(tokenizer, messages)
        if not has_system or messages[0]["content"].strip() in text:
            return text, messages
    except TemplateError as error:
        if not has_system:
            raise refused(error) from error
    folded = fold_system(messages)
    try:
        return render(tokenizer, folded), folded
    except TemplateError as error:
        raise refused(error) from error


def refused(error: Exception) -> UserError:
    return UserError(f"The base's chat template refuses this conversation: {error}.", "Change the row, or the base.")


def fold_system(messages: list[Message]) -> list[Message]:
    system, question, *rest = messages
    return [Message(role="user", content=f"{system['content']}\n\n{question['content']}"), *rest]


def answer_spans(tokenizer: PreTrainedTokenizerBase, messages: list[Message], text: str) -> list[tuple[int, int]]:
    """Character spans in `text` of what the assistant says, in order. Raises UserError if they cannot be told."""
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    contents = locate_contents(tokenizer, messages, text, answers)
    if contents is None:
        return spans_by_prefix(tokenizer, messages, text, answers)
    ends_of_turn = end_of_turn(tokenizer)
    spans = []
    for index, (start, end) in zip(answers, contents, strict=True):
        said_before = after_prompt(tokenizer, messages, index)
        if text.endswith(said_before, 0, start):
            start -= len(said_before)
        closing = ends_of_turn.match(text, end)
        if closing:
            end = closing.end()
        elif text.startswith(whole := render(tokenizer, messages[: index + 1])):
            end = max(end, len(whole))
        spans.append((start, end))
    return spans


def after_prompt(tokenizer: PreTrainedTokenizerBase, messages: list[Message], index: int) -> str:
    """What stands between the generation prompt and the answer `index`, so that the model must say it itself: nothing,
    a space (Llama 2), an empty <think> block (Qwen 3)."""
    prompt = render(tokenizer, messages[:index], prompt=True)
    placeholder = PLACEHOLDER.format(index)
    upto = render(tokenizer, [*messages[:index], Message(role="assistant", content=placeholder)])
    return upto[len(prompt) : upto.find(placeholder)] if upto.startswith(prompt) else ""


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """A special token, with the white space that templates put before it (Llama 2)."""
    specials = {token.content for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    return re.compile(rf"\s*(?:{'|'.join(map(re.escape, sorted(specials, key=len, reverse=True)))})")


def locate_contents(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message], text: str, answers: list[int]
) -> list[tuple[int, int]] | None:
    """Where each answer's text stands: render with placeholders in their stead, and walk along what is between them.

    Unlike comparing renderings of the first n messages, this works where a template treats the last turn apart
    (Qwen 3) or moves the system prompt to it (Mistral). None where the template depends on the answers' texts.
    """
    probe = list(messages)
    for index in answers:
        probe[index] = Message(role="assistant", content=PLACEHOLDER.format(index))
    between = re.split("|".join(re.escape(PLACEHOLDER.format(index)) for index in answers), render(tokenizer, probe))
    if len(between) != len(answers) + 1 or not text.startswith(between[0]):
        return None
    spans, position = [], len(between[0])
    for index, after in zip(answers, between[1:], strict=True):
        content = messages[index]["content"]
        for candidate in (content, content.rstrip(), content.lstrip(), content.strip()):
            if text.startswith(candidate + after, position):
                break
        else:
            return None
        spans.append((position, position + len(candidate)))
        position += len(candidate) + len(after)
    return spans if position == len(text) else None


def spans_by_prefix(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message], text: str, answers: list[int]
) -> list[tuple[int, int]]:
    """For templates that rewrite answers: what each adds to the rendering of the messages before it."""
    spans = []
    for index in answers:
        before, upto = render(tokenizer, messages[:index], prompt=True), render(tokenizer, messages[: index + 1])
        if not (text.startswith(upto) and upto.startswith(before)):
            raise UserError(
                f"The base's chat template rewrites the answer in message {index + 1}, so that it cannot be trained.",
                "Remove what it treats specially (such as <think> blocks in earlier answers), or choose another base.",
            )
        kept = upto.rstrip() if re.search(rf"{end_of_turn(tokenizer).pattern}\s*\Z", upto) else upto
        spans.append((len(before), len(kept)))
    return spans


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
            example = encode(self.tokenizer, conversation.messages, None)
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

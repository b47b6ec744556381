"""Conversations to token ids and labels, for any chat template: only what the assistant says is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from adapters.common.errors import UserError
from core.data.dataset import Message, Tools
from core.data.tokenize.answers import RenderedAnswer, render_answer
from core.data.tokenize.chat_template import ChatTemplate
from core.data.tokenize.end_of_turn import find_end_of_turn
from core.data.tokenize.layout import find_layouts, is_plain
from core.data.tokenize.offsets import TokenBoundaries, tokenize_with_offsets
from core.data.tokenize.untrained_spans import untrained_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100


class Example(TypedDict):
    """Equally long lists; labels are IGNORED except where the assistant speaks."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Encoded:
    """What one conversation becomes: mostly one row, else one for each answer whose history the template rewrites.

    dropped: some of what was thought has no place in the template. ended: it writes no end behind some answer, so that
    one was put there.
    """

    examples: list[Example]
    dropped: bool = False
    ended: bool = False


def encode(tokenizer: PreTrainedTokenizerBase, messages: list[Message], tools: Tools | None = None) -> Encoded:
    """Token ids as the engine's prompt has them before each answer, then as the answer goes on, with labels.

    Trained is what the model must produce after the generation prompt: the answer's words (or the calls of tools) and
    the end of the turn, but for turns of weight 0 and what is marked as untrained. Raises UserError where the template
    refuses the conversation, leaves out a part of it, or where nothing would be trained.

    Plain text (role "text") is trained whole, with the end-of-text token after it.
    """
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer {type(tokenizer).__name__} cannot say which characters a token covers.",
            "Choose a base with a fast tokenizer (tokenizer.json).",
        )
    if messages[0]["role"] == "text":
        return Encoded([encode_plain(tokenizer, messages[0]["content"])])
    template = ChatTemplate.of(tokenizer, tools)
    whole = encode_whole(template, messages) if not tools and is_plain(messages) else None
    encoded = Encoded([whole]) if whole else encode_answers(template, messages)
    if not any(count_trained(example["labels"]) for example in encoded.examples):
        raise UserError("Nothing of it would be trained: every answer is marked as context.", "Leave it out.")
    return encoded


def count_trained(labels: list[int]) -> int:
    return sum(label != IGNORED for label in labels)


def encode_plain(tokenizer: PreTrainedTokenizerBase, text: str) -> Example:
    input_ids = [*tokenizer(text, verbose=False)["input_ids"]]
    while tokenizer.bos_token_id is not None and input_ids[:2] == [tokenizer.bos_token_id] * 2:
        del input_ids[0]  # the text brings its own
    if tokenizer.eos_token_id is not None and input_ids[-1:] != [tokenizer.eos_token_id]:
        input_ids.append(tokenizer.eos_token_id)
    return Example(input_ids=input_ids, labels=list(input_ids))


def encode_whole(template: ChatTemplate, messages: list[Message]) -> Example | None:
    """One rendering that serves all answers. None where it does not, or where that cannot be told."""
    layout = find_layouts(template.tokenizer)[messages[0]["role"] == "system"]
    if layout is None:
        return None
    text = template.render(messages)
    places = layout.places(messages, text)
    if places is None:
        return None
    answers = [message for message in messages if message["role"] == "assistant"]
    trained = []
    for message, place in zip(answers, places, strict=True):
        untrained = untrained_spans(text, (place.prompt, place.closed), place.start, message)
        if untrained is None:
            return None
        if message.get("weight") != 0:
            trained.append((place.prompt, place.closed, untrained))
    return encode_text(template.tokenizer, text, trained)


Trained = tuple[int, int, list[tuple[int, int]]]  # [start, end) in characters, and what is not trained in between


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, trained: list[Trained]) -> Example | None:
    """One row for all answers in a text; None where one of them does not begin between two tokens as the engine's
    prompt, tokenised alone, would end there."""
    input_ids, offsets = tokenize_with_offsets(tokenizer, text)
    labels = [IGNORED] * len(input_ids)
    joints = TokenBoundaries(tokenizer, text, input_ids, offsets)
    for start, end, untrained in trained:
        first = joints.at(start)
        if first is None:
            return None
        for at in range(first, joints.before(end)):
            if not is_context(text, offsets[at], untrained):
                labels[at] = input_ids[at]
    return Example(input_ids=input_ids, labels=labels)


def encode_answers(template: ChatTemplate, messages: list[Message]) -> Encoded:
    """A row for each trained answer, with its own history; those that go on where the one before ends are one."""
    template.check_tools(messages)
    ending = find_end_of_turn(template.tokenizer)
    chains: list[list[RenderedAnswer]] = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and message.get("weight") != 0:
            found = render_answer(template, ending, messages, index)
            if chains and found.prompt.startswith(chains[-1][-1].text):
                chains[-1].append(found)
            else:
                chains.append([found])
    examples = [example for chain in chains for example in encode_chain(template.tokenizer, chain)]
    answers = [answer for chain in chains for answer in chain]
    return Encoded(
        [example for example in examples if count_trained(example["labels"])],
        any(answer.dropped for answer in answers),
        any(answer.ended for answer in answers),
    )


def encode_chain(tokenizer: PreTrainedTokenizerBase, chain: list[RenderedAnswer]) -> list[Example]:
    """One row for answers of which each goes on where the one before ends; one for each where their tokens do not."""
    trained = [
        (
            len(answer.prompt),
            len(answer.text),
            [(len(answer.prompt) + low, len(answer.prompt) + high) for low, high in answer.untrained],
        )
        for answer in chain
    ]
    whole = encode_text(tokenizer, chain[-1].text, trained)
    if whole:
        return [whole]
    rows = []
    for answer in chain:
        prompt, _ = tokenize_with_offsets(tokenizer, answer.prompt)
        completion, labels = completion_tokens(tokenizer, answer, prompt)
        rows.append(Example(input_ids=prompt + completion, labels=[IGNORED] * len(prompt) + labels))
    return rows


def completion_tokens(
    tokenizer: PreTrainedTokenizerBase, found: RenderedAnswer, prompt: list[int]
) -> tuple[list[int], list[int]]:
    """Ids and labels of an answer behind the prompt's own ids, also where the two would merge into one token."""
    start = len(found.prompt)
    ids, offsets = tokenize_with_offsets(tokenizer, found.prompt + found.completion)
    if ids[: len(prompt)] == prompt:
        ids, offsets = ids[len(prompt) :], offsets[len(prompt) :]
    else:
        # Behind a line break no tokenizer puts a space of its own before the first word; but line breaks may merge.
        lead, _ = tokenize_with_offsets(tokenizer, "\n")
        ids, offsets = tokenize_with_offsets(tokenizer, "\n" + found.completion)
        start = 1
        if ids[: len(lead)] == lead:
            ids, offsets = ids[len(lead) :], offsets[len(lead) :]
        else:
            ids, offsets = tokenize_with_offsets(tokenizer, found.completion)
            start = 0
    spans = [(low + start, high + start) for low, high in found.untrained]
    text = " " * start + found.completion
    labels = [IGNORED if is_context(text, span, spans) else token for token, span in zip(ids, offsets, strict=True)]
    return ids, labels


def is_context(text: str, token: tuple[int, int], untrained: list[tuple[int, int]]) -> bool:
    """Whether a token has a character that is not to be trained. White space beside a word goes with the word."""
    start, end = token
    return any(
        (low <= start and end <= high) or text[max(start, low) : min(end, high)].strip() for low, high in untrained
    )

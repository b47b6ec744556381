"""Templates that write each message alike wherever it stands: one rendering then serves all answers of a talk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from core.data.dataset import Message
from core.data.tokenize.chat_template import (
    ANSWER,
    QUESTION,
    SYSTEM,
    ChatTemplate,
    TemplateRefused,
    fold_system,
    per_template,
)
from core.data.tokenize.end_of_turn import find_end_of_turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START, END = "", "end"
PLAIN = {"system", "user", "assistant"}


@dataclass(frozen=True)
class AnswerSpan:
    """Where an answer stands in a rendering, in characters: the engine's prompt for it ends at `prompt`, its content is
    `start` to `end`, and its end of turn is over at `closed`."""

    prompt: int
    start: int
    end: int
    closed: int


@dataclass(frozen=True)
class Layout:
    """between: what stands between the contents of two messages, by their roles. lead: characters between the end of
    the engine's prompt and an answer's content. closing: characters of the end of turn behind it."""

    between: dict[tuple[str, str], str]
    folds: bool
    lead: int
    closing: int

    def places(self, messages: list[Message], text: str) -> list[AnswerSpan] | None:
        """Of each answer in a rendering of the whole; None where it is not what these messages should give."""
        if self.folds and messages[0]["role"] == "system":
            messages = fold_system(messages)
        roles = [START, *(message["role"] for message in messages), END]
        position, places = 0, []
        for index, message in enumerate(messages):
            before = self.between.get((roles[index], roles[index + 1]))
            after = self.between.get((roles[index + 1], roles[index + 2]))
            if before is None or after is None or not text.startswith(before, position):
                return None
            start = position + len(before)
            end = find_content_end(message["content"], text, start, after)
            if end is None:
                return None
            if message["role"] == "assistant":
                places.append(AnswerSpan(start - self.lead, start, end, end + self.closing))
            position = end
        return places if text[position:] == self.between[(roles[-2], END)] else None


def find_content_end(content: str, text: str, start: int, after: str) -> int | None:
    """Where a content ends that a template may have stripped, and behind which `after` must stand."""
    for candidate in (content, content.rstrip(), content.lstrip(), content.strip()):
        if text.startswith(candidate + after, start):
            return start + len(candidate)
    return None


def is_plain(messages: list[Message]) -> bool:
    """Whether nothing is in it that templates treat apart: calls, results, what was thought."""
    return all(
        message["role"] in PLAIN
        and not message.get("tool_calls")
        and "reasoning_content" not in message
        and "think>" not in message["content"]
        for message in messages
    )


@per_template
def find_layouts(tokenizer: PreTrainedTokenizerBase) -> dict[bool, Layout | None]:
    """By whether there is a system message, with which some templates do otherwise (Mistral)."""
    template, system = ChatTemplate.of(tokenizer), [Message(role="system", content=SYSTEM)]
    return {False: learn_layout(template, make_turns(3)), True: learn_layout(template, system + make_turns(3))}


def learn_layout(template: ChatTemplate, talk: list[Message]) -> Layout | None:
    """From a short talk, in which every prompt of the engine, and every answer as the newest message, must be the
    beginning of the whole. None for templates that rewrite history or write no end behind an answer."""
    written = find_end_of_turn(template.tokenizer).written
    between: dict[tuple[str, str], str] = {}
    leads = set()
    try:
        text = template.render(talk)
        shown = fold_system(talk) if template.manner.folds and talk[0]["role"] == "system" else talk
        gaps = find_gaps(text, [message["content"] for message in shown])
        if not written or gaps is None:
            return None
        for pair, gap in zip(pairwise([START, *(message["role"] for message in shown), END]), gaps, strict=True):
            if between.setdefault(pair, gap) != gap:
                return None
        for index, message in enumerate(talk):
            if message["role"] == "assistant":
                prompt, newest = template.render(talk[:index], prompt=True), template.render(talk[: index + 1])
                start = text.find(message["content"])
                whole = text[: start + len(message["content"] + written)]
                if not (text.startswith(prompt) and newest.startswith(whole) and whole.endswith(written)):
                    return None
                leads.add(start - len(prompt))
    except TemplateRefused:
        return None
    if len(leads) != 1 or min(leads) < 0:
        return None
    return Layout(between, template.manner.folds, leads.pop(), len(written))


def find_gaps(text: str, words: list[str]) -> list[str] | None:
    """What stands before, between and behind the words; None unless each is there once, in this order."""
    gaps = []
    for word in words:
        if text.count(word) != 1:
            return None
        gap, _, text = text.partition(word)
        gaps.append(gap)
    return [*gaps, text]


def make_turns(count: int) -> list[Message]:
    return [
        Message(role=role, content=word.format(index))
        for index in range(count)
        for role, word in (("user", QUESTION), ("assistant", ANSWER))
    ]

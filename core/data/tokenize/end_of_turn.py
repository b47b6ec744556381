"""What ends an answer on a base: one finding for labels, engine and doctor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from core.data.dataset import Message
from core.data.tokenize.chat_template import (
    ANSWER,
    CALL,
    QUESTION,
    REASONING,
    ChatTemplate,
    TemplateRefused,
    common_prefix_length,
    per_template,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EndOfTurn:
    """How answers end under a tokenizer's chat template.

    stops: the special tokens at which an answer is over, as text. written: what the template puts behind an answer's
    words, with white space before it (Llama 2) and every mark of several (Cohere); "" where it puts nothing.
    appended: what training puts behind an answer where the template writes no end; "" if there is nothing to put.
    marks: all added tokens of the tokenizer, as text.
    """

    stops: frozenset[str]
    written: str
    appended: str

    marks: frozenset[str]

    def close(self, answer: str) -> tuple[str, bool]:
        """An answer up to its end, and whether that had to be put behind it. Raises Refused where there is none."""
        rest, end = answer.rstrip(), 0
        while mark := self._mark_behind(rest):  # of several, the first that ends an answer
            end = len(rest) if mark in self.stops else end
            rest = rest.removesuffix(mark).rstrip()
        if end:
            return answer[:end], False
        if not self.appended:
            raise TemplateRefused(
                "an answer would have no end",
                "The base's chat template writes no end behind an answer, and its tokenizer has no end-of-text token.",
                "Choose a base whose tokenizer names an eos_token.",
            )
        return answer.rstrip() + self.appended, True

    def _mark_behind(self, text: str) -> str:
        if not text.endswith(tuple(self.marks)):
            return ""
        return max((mark for mark in self.marks if text.endswith(mark)), key=len)


@per_template
def find_end_of_turn(tokenizer: PreTrainedTokenizerBase) -> EndOfTurn:
    """Found by rendering short conversations with words of our own in them."""
    marks = frozenset({token.content for token in tokenizer.added_tokens_decoder.values()} - {""})
    marks |= set(tokenizer.all_special_tokens)
    eos = str(tokenizer.eos_token or "")
    template = ChatTemplate.of(tokenizer)
    written = _written(template, marks)
    inside = _inside(template, marks, written)
    last = re.compile(any_of(marks)).findall(written)[-1:] if written else []
    if last and last[0] != eos and last[0] in inside:  # a mark that also stands within an answer ends nothing
        written, last = "", []
    between = "" if written else _between(template, marks)
    appended = between if between not in inside else eos
    stops = {*last, appended, eos, *_after_calls(template, marks)} - {""}
    return EndOfTurn(frozenset(stops), written, appended or eos, marks)


def stop_ids(tokenizer: PreTrainedTokenizerBase, generation_config: Any = None) -> frozenset[int]:
    """The tokens at which the engine ends an answer: the template's, the tokenizer's, and those that the base's
    generation config names."""
    ids = {tokenizer.convert_tokens_to_ids(stop) for stop in find_end_of_turn(tokenizer).stops}
    named = getattr(generation_config, "eos_token_id", None)
    ids.update(named if isinstance(named, list) else [] if named is None else [named])
    return frozenset(token for token in ids if isinstance(token, int))


def any_of(marks: frozenset[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(marks, key=len, reverse=True)))})"


def _talk(*roles: str) -> list[Message]:
    words = {"user": QUESTION, "assistant": ANSWER}
    return [Message(role=role, content=words[role].format(index)) for index, role in enumerate(roles)]


def _tail(template: ChatTemplate, *roles: str) -> str:
    """What the template writes behind the first answer, up to the next question or the end; "" where it refuses."""
    try:
        text = template.render(_talk(*roles))
    except TemplateRefused:
        return ""
    return text.partition(ANSWER.format(1))[2].partition(QUESTION.format(2))[0]


def _written(template: ChatTemplate, marks: frozenset[str]) -> str:
    """The marks behind the last answer; of several only those that stand behind an earlier answer too, if any do:
    what follows them is the end of the whole conversation (Phi-3)."""
    if not marks:
        return ""
    closing = re.compile(rf"\s*{any_of(marks)}+")
    last, earlier = (closing.match(_tail(template, *roles)) for roles in (TWO, THREE))
    if last is None:
        return ""
    if earlier is None:
        return last.group()
    single = re.compile(rf"\s*{any_of(marks)}")
    pairs = zip(single.findall(last.group()), single.findall(earlier.group()), strict=False)
    return "".join(mark for mark, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) or last.group()


TWO, THREE = ("user", "assistant"), ("user", "assistant", "user")


def _between(template: ChatTemplate, marks: frozenset[str]) -> str:
    """A mark that the template writes behind an answer only when a question follows, and that does not open it."""
    try:
        opening = template.render(_talk("user")).partition(QUESTION.format(0))[0]
    except TemplateRefused:
        return ""
    tail = _tail(template, *THREE)
    own = tail[: len(tail) - common_prefix_length(opening[::-1], tail[::-1])]
    found = re.match(rf"\s*({any_of(marks)})", own) if marks else None
    return found.group(1) if found else ""


def _inside(template: ChatTemplate, marks: frozenset[str], written: str) -> set[str]:
    """Marks that stand within an answer, before its end: around what was thought, or around a call."""
    found: set[str] = set()
    for content, calls in ((ANSWER.format(1), 0), ("", 2), ("", 1)):
        answer = _render_answer(template, content, calls)
        body = answer[: answer.rfind(written)] if written and written in answer else answer
        if marks and (not calls or CALL.format(calls - 1) in answer):
            found.update(re.findall(any_of(marks), body.removesuffix(written)))
    return found


def _after_calls(template: ChatTemplate, marks: frozenset[str]) -> set[str]:
    """The mark behind an answer that calls tools, where it is another one (gpt-oss) and not each call's own end."""
    for calls in (2, 1):
        answer = _render_answer(template, "", calls)
        if not answer or not any(CALL.format(number) in answer for number in range(calls)):
            continue
        found = re.findall(any_of(marks), answer) if marks else []
        if found and answer.rstrip().endswith(found[-1]) and found.count(found[-1]) == 1:
            return {found[-1]}
        return set()
    return set()


def _render_answer(template: ChatTemplate, content: str, calls: int) -> str:
    """What the template adds for an answer with reasoning and so many calls; "" where it refuses."""
    asked = _talk("user")
    answer = Message(role="assistant", content=content, reasoning_content=REASONING)
    if calls:
        answer["tool_calls"] = [
            {"type": "function", "id": f"call0000{number}", "function": {"name": CALL.format(number), "arguments": {}}}
            for number in range(calls)
        ]
    try:
        text, prompt = template.render([*asked, answer]), template.render(asked, prompt=True)
    except TemplateRefused:
        return ""
    return text[common_prefix_length(text, prompt) :]

"""Conversations in one text whose turns stand between tags: Llama 2 ([INST] … [/INST]) and ChatML (<|im_start|>)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.data.formats.base import Format
from core.data.formats.chat import ROLES
from core.data.formats.column import on_text, shorten, written_as
from core.data.records import Message, RowError

# <s>[INST] <<SYS>>\n…\n<</SYS>>\n\n question [/INST] answer </s><s>[INST] …
SYS = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.S)

# <|im_start|>user\nquestion<|im_end|>\n
IM_TURN = re.compile(r"\s*<\|im_start\|>[ \t]*(\w+)[ \t]*\n(.*?)(?:<\|im_end\|>|(?=<\|im_start\|>)|\Z)", re.S)
END_OF_TEXT = re.compile(r"\s*+(?:(?:<\|endoftext\|>|</s>)\s*+)?")


def parse_llama2(text: str) -> list[Message]:
    first = text.find("[INST]")
    if first < 0 or text[:first].replace("<s>", "").strip():
        raise RowError('It does not begin with "[INST]".', "Write it as <s>[INST] question [/INST] answer </s>.")
    if text.count("[INST]") != text.count("[/INST]"):
        raise RowError(
            f'It has {text.count("[INST]")} "[INST]" but {text.count("[/INST]")} "[/INST]".', "Close each one."
        )
    messages: list[Message] = []
    for question, answer in exchanges(text):
        system = SYS.fullmatch(question)
        if system:
            messages.append(Message(role="system", content=system[1].strip()))
            question = system[2]
        messages.append(Message(role="user", content=question.strip()))
        answer = answer.strip().removesuffix("<s>").rstrip().removesuffix("</s>").strip()
        if answer:
            messages.append(Message(role="assistant", content=answer))
    return messages


def exchanges(text: str) -> Iterator[tuple[str, str]]:
    """What stands between [INST] and [/INST], and behind it up to the next [INST]."""
    begin = text.find("[INST]")
    while begin >= 0 and (middle := text.find("[/INST]", begin)) >= 0:
        end = text.find("[INST]", middle)
        yield text[begin + len("[INST]") : middle], text[middle + len("[/INST]") : end if end >= 0 else len(text)]
        begin = end


def parse_chatml(text: str) -> list[Message]:
    messages, position = [], len(text) - len(text.lstrip().removeprefix("<s>"))
    while turn := IM_TURN.match(text, position):
        name = turn[1].lower()
        if name not in ROLES:
            raise RowError(f"It has a turn by {turn[1]!r}.", f"Known roles: {', '.join(ROLES)}.")
        messages.append(Message(role=ROLES[name], content=turn[2].strip()))
        position = turn.end()
    if not END_OF_TEXT.fullmatch(text, position):
        raise RowError(
            f'There is text outside of the turns: "{shorten(text[position:])}".',
            "Put it between <|im_start|>role and <|im_end|>, or remove it.",
        )
    return messages


LLAMA2 = Format("llama2", '"[INST] … [/INST]" turns in a text', written_as("llama2"), on_text(parse_llama2))
CHATML = Format("chatml", '"<|im_start|>" turns in a text', written_as("chatml"), on_text(parse_chatml))

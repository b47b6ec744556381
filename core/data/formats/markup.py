"""Turns as chat templates write them, between marks of their own: which there are, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.common.errors import shortened
from core.data.dataset import Message, RowError
from core.data.formats.chat import ROLES
from core.data.formats.text_edges import skip_beginning_marks, strip_edges
from core.data.values import shorten

HARMONY_TURN = re.compile(
    r"\s*<\|start\|>(?P<who>\w+)(?P<to>[^<]*)(?:<\|channel\|>(?P<channel>\w+)(?P<more>[^<]*))?<\|message\|>"
    r"(?P<text>.*?)(?:<\|(?:end|return)\|>|(?=<\|start\|>)|\Z)",
    re.S,
)
EMPTY_THOUGHT = re.compile(r"\s*<think>\s*</think>\s*")


@dataclass(frozen=True)
class Markup:
    """By its `sign` a text is known to be of that family. `opening` begins a turn and names its speaker; `closing` may
    end one. What stands before the first turn is the system prompt where `preface` says so. `unread` are marks of
    calls, tools and thoughts, which are refused."""

    family: str
    sign: str
    opening: re.Pattern[str]
    closing: re.Pattern[str]
    unread: re.Pattern[str] | None = None
    preface: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)


def markup(
    family: str, opening: str, closing: str, unread: str = "", *, sign: str = "", preface: bool = False, **roles: str
) -> Markup:
    sign = sign or opening.replace("?P<who>", "?:")
    marks = re.compile(unread) if unread else None
    return Markup(family, sign, re.compile(opening), re.compile(closing), marks, preface, roles)


MARKUPS = (
    markup(
        "Llama 3",
        r"<\|start_header_id\|>[ \t]*(?P<who>[\w.-]+)[ \t]*<\|end_header_id\|>",
        r"<\|(?:eot_id|eom_id|end_of_text)\|>",
        r"<\|python_tag\|>",
        sign=r"<\|start_header_id\|>",
    ),
    markup("Llama 4", r"<\|header_start\|>(?P<who>[\w.-]+)<\|header_end\|>", r"<\|(?:eot|eom|end_of_text)\|>"),
    markup(
        "Gemma",
        r"<start_of_turn>[ \t]*(?P<who>\w+)(?=\s|<|\Z)",
        r"<end_of_turn>|<eos>",
        sign="<start_of_turn>",
    ),
    markup(
        "Gemma 4",
        r"<\|turn>(?P<who>\w+)(?=\s|<|\Z)",
        r"<turn\|>",
        r"<\|(?:tool|tool_call|tool_response|channel)>",
        sign=r"<\|turn>",
    ),
    markup(
        "Zephyr, Phi-3 or GLM",
        r"<\|(?P<who>system|user|assistant|prompter|human|bot|tool|observation|developer)\|>",
        r"<\|(?:end|endoftext|end_of_turn|endofturn)\|>|</s>",
    ),
    markup(
        "Cohere",
        r"<\|START_OF_TURN_TOKEN\|><\|(?P<who>SYSTEM|USER|CHATBOT)_TOKEN\|>(?:<\|START_RESPONSE\|>)?",
        r"(?:<\|END_RESPONSE\|>)?<\|END_OF_TURN_TOKEN\|>",
        r"<\|START_(?:THINKING|ACTION|TOOL_RESULT)\|>",
        chatbot="assistant",
    ),
    markup(
        "DeepSeek",
        r"<｜(?P<who>User|Assistant)｜>",
        r"<｜end▁of▁sentence｜>",
        r"<｜tool▁",
        preface=True,
    ),
    markup("Granite", r"<\|start_of_role\|>(?P<who>\w+)<\|end_of_role\|>", r"<\|end_of_text\|>", r"<\|tool_call\|>"),
    markup("EXAONE", r"\[\|(?P<who>system|user|assistant|tool)\|\]", r"\[\|endofturn\|\]"),
    markup("Kimi", r"<\|im_(?P<who>system|user|assistant)\|>\w+<\|im_middle\|>", r"<\|im_end\|>", r"<\|tool_call"),
)
CHATML = markup(
    "ChatML",
    r"<\|im_start\|>[ \t]*(?P<who>\w+)[ \t]*(?:\n|<\|im_sep\|>)",  # the latter is Phi-4's
    r"<\|im_end\|>",
    r"<\|tool_(?:list|call|response)_start\|>",
    sign=r"<\|im_start\|>",
)
HOW = "Give the conversation as `messages`, a list of {role, content}."
HARMONY = "Harmony (gpt-oss)"
HARMONY_SIGN = r"<\|start\|>(?:system|developer|user|assistant|functions)\b"
OWN_SYSTEM = re.compile(r"You are ChatGPT.*Valid channels", re.S)
INSTRUCTIONS = re.compile(r"\s*# Instructions\s*\n(.*)", re.S)


def parse_rendered(text: str) -> list[Message]:
    """By the markup whose mark comes first. Raises RowError."""
    found = [(match.start(), markup) for markup in MARKUPS if (match := re.search(markup.sign, text))]
    harmony = re.search(HARMONY_SIGN, text)
    if harmony and all(harmony.start() < start for start, _ in found):
        return parse_harmony(text)
    if not found:
        raise RowError("It has no turns as a chat template writes them.", "Mark each turn so, or remove the row.")
    return parse_markup(text, min(found, key=lambda pair: pair[0])[1])


def parse_markup(text: str, kind: Markup) -> list[Message]:
    """Raises RowError for what is not written as that family writes it, with the family's name."""
    openings = list(kind.opening.finditer(text))
    if not openings:
        raise RowError(f"It has marks as {kind.family} writes them, but no turn that can be read.", HOW)
    before = strip_edges(text[: openings[0].start()])
    if before and not kind.preface:
        raise RowError(
            f'There is text before the first mark of {kind.family}: "{shorten(before)}".',
            f'Begin with "{openings[0][0].strip()}", or remove it.',
        )
    if kind.unread and (mark := kind.unread.search(text)):
        raise RowError(
            f'It has calls or thoughts marked as {kind.family} does ("{mark[0]}"), which are not read from a text.',
            HOW,
        )
    messages = [Message(role="system", content=before)] if before else []
    ends = [opening.start() for opening in openings[1:]] + [len(text)]
    for opening, end in zip(openings, ends, strict=True):
        name = opening["who"].lower()
        role = kind.roles.get(name) or ROLES.get(name)
        if role is None:
            raise RowError(f"It has a turn by {shortened(opening['who'])}.", f"Known roles: {', '.join(ROLES)}.")
        content, *rest = kind.closing.split(text[opening.end() : end])
        if rest and (after := strip_edges("".join(rest))):
            raise RowError(
                f'There is text outside of the turns: "{shorten(after)}", where {kind.family} marks where they end.',
                "Put it between the marks of a turn, or remove it.",
            )
        messages.append(Message(role=role, content=remove_empty_thought(strip_edges(content), role)))
    return messages


def remove_empty_thought(text: str, role: str) -> str:
    """Without the empty block of thoughts that some templates write before an answer."""
    found = EMPTY_THOUGHT.match(text) if role == "assistant" else None
    return text[found.end() :] if found else text


def parse_harmony(text: str) -> list[Message]:
    """Of gpt-oss. Its own system turn is left out, as its template writes it; the developer's is the system prompt."""
    messages: list[Message] = []
    thought = ""
    position, _ = skip_beginning_marks(text)
    while turn := HARMONY_TURN.match(text, position):
        position = turn.end()
        name, channel, content = turn["who"].lower(), turn["channel"], turn["text"].strip()
        if name == "functions" or "to=" in f"{turn['to']}{turn['more']}" or "# Tools" in content:
            raise RowError(
                f"It has calls or tools marked as {HARMONY} does, which are not read from a text.",
                HOW,
            )
        if name not in ROLES:
            raise RowError(f"It has a turn by {shortened(turn['who'])}.", f"Known roles: {', '.join(ROLES)}.")
        if channel == "analysis":
            thought = content
        elif ROLES[name] == "assistant":
            message = Message(role="assistant", content=content)
            if thought:
                message["reasoning_content"] = thought
            messages.append(message)
            thought = ""
        elif not (name == "system" and OWN_SYSTEM.search(content)):
            instructions = INSTRUCTIONS.fullmatch(content)
            messages.append(Message(role=ROLES[name], content=instructions[1].strip() if instructions else content))
    if after := strip_edges(text[position:]):
        raise RowError(
            f'There is text outside of the turns: "{shorten(after)}", where {HARMONY} marks where they end.',
            "Put it between <|start|>role<|message|> and <|end|>, or remove it.",
        )
    return messages

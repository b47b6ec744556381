"""Conversations in one text whose turns begin with a mark: Guanaco (### Human:), Vicuna (USER:), Alpaca as a text
(### Instruction:), and transcripts (Human:)."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable
from dataclasses import dataclass

from core.data.dataset import Message, RowError
from core.data.formats.base import Format
from core.data.formats.column import has_dialect, text_reader
from core.data.formats.dialects import SPEAKERS
from core.data.formats.text_edges import strip_edges
from core.data.values import shorten


@dataclass(frozen=True)
class Dialect:
    """`marker` has the speaker's name as its first group; `roles` maps names to roles, question before answer.

    `preface`: whether text before the first marker is the system prompt; otherwise such a row is refused.
    """

    marker: re.Pattern[str]
    roles: dict[str, str]
    preface: bool = False

    @property
    def signs(self) -> str:
        return f'"{self.mark("user")}" / "{self.mark("assistant")}" turns in a text'

    def mark(self, role: str) -> str:
        name = next(name for name, its_role in self.roles.items() if its_role == role)
        return f"### {name}:" if self.marker.pattern.startswith("###") else f"{name}:"

    def alternates(self, markers: list[re.Match[str]]) -> bool:
        roles = [self.roles[marker[1]] for marker in markers]
        if roles[:1] == ["system"]:
            roles = roles[1:]
        return len(roles) > 1 and all(role == ("user", "assistant")[index % 2] for index, role in enumerate(roles))

    def answered(self, markers: list[re.Match[str]]) -> bool:
        return self.roles[markers[-1][1]] == "assistant"


# Inline (with or without a space before ###) or on lines of their own.
GUANACO_DIALECT = Dialect(
    re.compile(r"###[ \t]*(Human|User|Assistant|System):[ \t]*"),
    {"Human": "user", "User": "user", "Assistant": "assistant", "System": "system"},
)
# As FastChat writes it: a preface, USER: and ASSISTANT: after white space, </s> after each answer.
VICUNA_DIALECT = Dialect(
    re.compile(r"(?:(?<=\s)|(?<=</s>)|\A)(USER|ASSISTANT|SYSTEM):[ \t]*"),
    {"USER": "user", "ASSISTANT": "assistant", "SYSTEM": "system"},
    preface=True,
)


LINE_START = re.compile(r"^[^\S\n]*", re.M)  # with the white space that a line begins with


def parser(dialect: Dialect) -> Callable[[str], list[Message]]:
    return lambda text: parse(text, dialect)


def parse(text: str, dialect: Dialect) -> list[Message]:
    """Every marker begins a turn, unless it is plainly a quotation.

    A marker is a quotation directly after an opening quotation mark or backtick, and inside a closed code block, unless
    only the markers inside of code blocks complete the conversation (a fence was forgotten). Where the remaining ones
    do not alternate, those in mid-line are taken for quotations too if that makes the rest alternate. What is left
    cannot be told apart from real turns: an unquoted "### Human:" inside an answer begins a turn, and check_turns
    reports the row when that breaks the alternation.
    """
    fences = code_fences(text, dialect.marker)
    line_starts = {start.end() for start in LINE_START.finditer(text)}
    unquoted = [marker for marker in dialect.marker.finditer(text) if not is_quoted(text, marker.start())]
    outside = [marker for marker in unquoted if not is_inside(fences, marker)]
    at_line_start = [marker for marker in outside if marker.start() in line_starts]
    markers = next(
        (reading for reading in (outside, unquoted) if dialect.alternates(reading) and dialect.answered(reading)), None
    )
    if markers is None:
        readings = (outside, at_line_start, unquoted)
        markers = next((reading for reading in readings if dialect.alternates(reading)), outside)
    if not markers:
        marks = f'"{dialect.mark("user")}" and "{dialect.mark("assistant")}"'
        raise RowError(f"It has no {marks} turns.", "Mark each turn so, or remove the row.")
    ends = [marker.start() for marker in markers[1:]] + [len(text)]
    messages = [
        Message(role=dialect.roles[marker[1]], content=strip_edges(text[marker.end() : end]))
        for marker, end in zip(markers, ends, strict=True)
    ]
    before = strip_edges(text[: markers[0].start()])
    if before and not dialect.preface:
        raise RowError(
            f'There is text before the first marker: "{shorten(before)}".',
            f'Put "{dialect.mark("system")}" before it if it is a system prompt, or remove it.',
        )
    return [Message(role="system", content=before), *messages] if before else messages


def is_quoted(text: str, position: int) -> bool:
    """Whether an opening quotation mark stands directly before; a closing one ("word"### Human:) does not count."""
    mark = text[position - 1 : position]
    if mark in ("“", "«", "‘", "„"):
        return True
    return mark in ('"', "'", "`") and (position < 2 or text[position - 2].isspace() or text[position - 2] in "([{")


def code_fences(text: str, marker: re.Pattern[str]) -> list[tuple[int, int]]:
    """Spans of code blocks.

    An opening fence ends its line, but for a language; a closing one begins its line. A fence that names a language or
    begins a turn opens even within a block: the one before was never closed, and must not swallow the turns after it.
    """
    fences = re.compile(
        rf"(?:(?P<line>^[ \t]*)|(?<=[ \t])|{marker.pattern})(?:```|~~~)"
        r"(?=(?P<opens>[ \t]*+(?:(?P<language>\w[^\s:`]*+)[ \t]*+)?$)?)",
        re.M,
    )
    spans, opened = [], None
    for fence in fences.finditer(text):
        begins_turn = fence[2] is not None  # the marker's own group
        if fence["opens"] is not None and (opened is None or fence["language"] or begins_turn):
            opened = fence.start()
        elif opened is not None and fence["line"] is not None:
            spans.append((opened, fence.start()))
            opened = None
    return spans


def is_inside(spans: list[tuple[int, int]], marker: re.Match[str]) -> bool:
    """Whether the marker stands in one of the spans, which are in order and do not overlap."""
    before = bisect.bisect_left(spans, (marker.start(), 0)) - 1
    return before >= 0 and marker.start() < spans[before][1]


# Alpaca's prompt as a text; also with "### Question:" and "### Answer:", as in TRL's documentation.
ALPACA_MARK = re.compile(r"###[ \t]*(Instruction|Question|Input|Context|Response|Answer|Output):[ \t]*")
ASKS, ADDS, ANSWERS = ("Instruction", "Question"), ("Input", "Context"), ("Response", "Answer", "Output")


def parse_alpaca_text(text: str) -> list[Message]:
    """What stands before the first mark is the system prompt; an input follows its instruction, a blank line between.

    A mark that has no place where it stands, such as a second "### Response:", is a heading of the text around it.
    """
    turns: list[tuple[str, int, int]] = []  # kind, where its text begins, where it ends
    before = ""
    for mark in ALPACA_MARK.finditer(text):
        last = turns[-1][0] if turns else None
        kind = "asks" if mark[1] in ASKS else "adds" if mark[1] in ADDS else "answers"
        if kind == "adds" and last != "asks":
            continue
        if kind == last or (kind == "asks" and last == "adds") or (kind == "answers" and last is None):
            continue
        if turns:
            turns[-1] = (turns[-1][0], turns[-1][1], mark.start())
        else:
            before = strip_edges(text[: mark.start()])
        turns.append((kind, mark.end(), len(text)))
    if not turns:
        raise RowError(
            'It has no "### Instruction:" and "### Response:" turns.', "Mark each turn so, or remove the row."
        )
    messages = [Message(role="system", content=before)] if before else []
    for kind, start, end in turns:
        content = strip_edges(text[start:end])
        if kind == "adds":
            asked = messages[-1]["content"]
            messages[-1]["content"] = f"{asked}\n\n{content}" if content else asked
        else:
            messages.append(Message(role="user" if kind == "asks" else "assistant", content=content))
    return messages


TRANSCRIPTS = tuple(
    Dialect(
        re.compile(rf"^[ \t]*({'|'.join((*asks, *answers, 'System'))}):[ \t]*", re.M),
        {**dict.fromkeys(asks, "user"), **dict.fromkeys(answers, "assistant"), "System": "system"},
    )
    for asks, answers in SPEAKERS
)


def parse_transcript(text: str) -> list[Message]:
    """With the speakers' names of the first pair that asks and answers in it."""
    text = strip_edges(text)
    dialect = next((known for known in TRANSCRIPTS if known.marker.match(text)), TRANSCRIPTS[0])
    return parse(text, dialect)


def prefix_format(name: str, dialect: Dialect) -> Format:
    return Format(name, dialect.signs, has_dialect(name), text_reader(parser(dialect)))


GUANACO = prefix_format("guanaco", GUANACO_DIALECT)
VICUNA = prefix_format("vicuna", VICUNA_DIALECT)
ALPACA_TEXT = Format(
    "alpaca-text",
    '"### Instruction:" / "### Response:" turns in a text',
    has_dialect("alpaca-text"),
    text_reader(parse_alpaca_text),
)
TRANSCRIPT = Format(
    "transcript",
    'lines that begin with "Human:" and "Assistant:", or with "Q:" and "A:"',
    has_dialect("transcript"),
    text_reader(parse_transcript),
)

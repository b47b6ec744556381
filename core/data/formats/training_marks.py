"""Marks that say what is trained: of a turn (weight, train, loss …), of characters in it (train_detail), of a row.

A column may also hold a mark for each turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from adapters.common.errors import shortened
from core.data.dataset import Message, RowError, SkippedRow
from core.data.formats.tracking import ConversionNotes, TrackedMapping, has_value
from core.data.values import kind_of

# OpenAI, Mistral and Together write weight, Axolotl train, ms-swift and XTuner loss, Tinker trainable, slime
# step_loss_mask; torchtune's masked says the opposite.
MARKS = ("weight", "loss_weight", "loss_scale", "train", "training", "trainable", "loss", "loss_mask", "step_loss_mask")
OPPOSITE = ("masked",)
UNCLEAR = ("mask",)  # 1 means "trained" to some trainers and "left out" to others
ALL_MARKS = frozenset((*MARKS, *OPPOSITE, *UNCLEAR))
DETAILS = ("train_detail", "training_detail")
ROW_WEIGHTS = ("weight", "loss_weight", "sample_weight")
# Also names of other things; believed where they say true or false.
ROW_SWITCHES = (*(name for name in MARKS if name not in ROW_WEIGHTS), *OPPOSITE)
ROW_MARKS = (*ROW_WEIGHTS, *ROW_SWITCHES)
NUMBER = re.compile(r"\s*([01])(?:\.0*)?\s*")  # also as tables and decimals write it: 0.00
WORDS = {"true": True, "yes": True, "false": False, "no": False}

IGNORED_MARK = "A mark to train a turn that is not the assistant's has no effect, since only answers are trained"


def parse_switch(value: Any) -> bool | None:
    """A mark's value as yes or no; None for what is neither, a weight between or beyond them among it."""
    if isinstance(value, str):
        number = NUMBER.fullmatch(value)
        return bool(int(number[1])) if number else WORDS.get(value.strip().lower())
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    return None


def mark_turn(message: Message, turn: TrackedMapping, where: str, notes: ConversionNotes) -> None:
    """Put what the turn's marks say into the message. Raises RowError for marks that cannot be followed."""
    marks = {name: turn[name] for name in turn if name in ALL_MARKS and has_value(turn.peek(name))}
    name, details = turn.first(DETAILS)
    own = turn.get("untrained")  # as the studio writes it
    if message["role"] != "assistant":
        positive = any(parse_switch(value) is not False for key, value in marks.items() if key in MARKS)
        if positive or (isinstance(details, list) and any(is_trained_detail(detail) for detail in details)):
            notes.texts.add(IGNORED_MARK)
        return
    trained = {parse_mark(key, value, where) for key, value in marks.items()}
    if len(trained) > 1:
        raise RowError(
            f"{where} is marked both as trained and as not trained ({', '.join(marks)}).", "Keep one of the marks."
        )
    if trained:
        message["weight"] = int(trained.pop())
    if details == [] and not marks:  # ranges to train, and none is named
        message["weight"] = 0
    elif details and message.get("weight") != 0:
        add_untrained(message, spans_outside(details, len(message["content"]), f"The {name} of {where}"))
    if has_value(own):
        add_untrained(message, read_own_spans(own, len(message["content"]), where))


def parse_mark(key: str, value: Any, where: str) -> bool:
    if key in UNCLEAR:
        raise RowError(
            f"{where} has the key `{key}`, which means “trained” in some files and “left out” in others.",
            "Write `train`: true or false in its place.",
        )
    switch = parse_switch(value)
    if switch is None:
        raise RowError(
            f"{where} has the {key} {shortened(value)}: an answer is trained or not, it cannot be weighed.",
            "Write 1 (or true) for an answer to train, 0 (or false) for one that is not.",
        )
    return not switch if key in OPPOSITE else switch


def is_trained_detail(detail: Any) -> bool:
    return isinstance(detail, Mapping) and bool(parse_switch(detail.get("train")))


def spans_outside(details: Any, length: int, what: str) -> list[list[int]]:
    """Half-open spans of what Axolotl's `train_detail` leaves untrained: all but the ranges with `train` true.

    Its offsets count characters from 0, and the end is part of the range. Raises RowError.
    """
    how = "Write [{begin_offset, end_offset, train}, …], counted from 0, the end being the last character of the range."
    if not isinstance(details, list):
        raise RowError(f"{what} is {kind_of(details)}, not a list of ranges.", how)
    ranges = []
    for detail in details:
        values: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
        begin, last, train = values.get("begin_offset"), values.get("end_offset"), parse_switch(values.get("train"))
        if not is_offset(begin) or not is_offset(last) or train is None:
            raise RowError(f"{what} has a range that is not understood: {str(detail)[:80]}.", how)
        if begin > last or last > length:
            raise RowError(f"{what} has the range {begin} to {last}, but the text has {length} characters.", how)
        ranges.append((begin, min(last + 1, length), train))
    ends = {True: 0, False: 0}
    for begin, end, train in sorted(ranges):
        if begin < ends[not train]:
            raise RowError(f"{what} says of character {begin} both that it is trained and that it is not.", how)
        ends[train] = max(ends[train], end)
    return invert_spans([[begin, end] for begin, end, train in ranges if train], length)


def is_offset(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def invert_spans(spans: list[list[int]], length: int) -> list[list[int]]:
    """What lies between the spans, from 0 to `length`, as spans in order."""
    between, position = [], 0
    for start, end in sorted(spans):
        if start > position:
            between.append([position, start])
        position = max(position, end)
    return [*between, [position, length]] if position < length else between


def read_own_spans(spans: Any, length: int, where: str) -> list[list[int]]:
    """`untrained` as the studio exports it. Raises RowError."""
    good = isinstance(spans, list) and all(
        isinstance(span, list) and len(span) == 2 and all(map(is_offset, span)) and span[0] < span[1] <= length
        for span in spans
    )
    if not good:
        raise RowError(
            f"The spans `untrained` of {where} do not fit its text of {length} characters.",
            "Write [[start, end], …], counted from 0, the end being the first character that is trained again.",
        )
    return [list(span) for span in spans]


def add_untrained(message: Message, spans: list[list[int]]) -> None:
    """A turn of which nothing but white space is left to train is one that is not trained."""
    if not spans:
        return
    text = message["content"]
    left = invert_spans([*message.get("untrained", []), *spans], len(text))
    if not any(text[start:end].strip() for start, end in left):
        message.pop("untrained", None)
        message["weight"] = 0
    else:
        message["untrained"] = invert_spans(left, len(text))


def skips_row(name: str, value: Any) -> bool:
    """Whether a column says of its row that it is not to be trained."""
    return name in ROW_MARKS and parse_switch(value) is (name in OPPOSITE)


def mark_row(row: TrackedMapping) -> None:
    """Raises SkippedRow where a column says that the row is not trained, RowError where it gives a weight."""
    for name, value in row.values_by_key.items():
        if name not in ROW_MARKS or not has_value(value) or isinstance(value, list | Mapping):
            continue
        switch = parse_switch(value)
        if switch is None and name in ROW_SWITCHES:
            continue
        if switch is None:
            raise RowError(
                f"Its column `{name}` is {shortened(value)}: a row is trained or not, it cannot be weighed.",
                "Write 1 or 0. If the column means something else, rename or remove it, or name the columns to read.",
            )
        row[name]  # read, and followed
        if skips_row(name, value):
            raise SkippedRow(f"Its `{name}` is {shortened(value)}, so it is not to be trained; it is left out.")


def mark_turns(row: TrackedMapping, messages: list[Message], notes: ConversionNotes) -> None:
    """Follow columns that hold a list of marks, one for each turn or one for each answer.

    The system prompt may have one or none. A turn's own mark that says no stays. Lists of anything else stay unread.
    Raises RowError for marks that are not as many.
    """
    answers = [message for message in messages if message["role"] == "assistant"]
    spoken = [message for message in messages if message["role"] != "system"]
    for name, marks in row.values_by_key.items():
        if not answers or not marks_turns(name, marks):
            continue
        switches = [None if mark is None else parse_mark(name, mark, "It") for mark in row[name]]
        marked = next((turns for turns in (messages, spoken, answers) if len(turns) == len(switches)), None)
        if marked is None:
            raise RowError(
                f"Its column `{name}` has {len(switches)} marks, and it has {len(messages)} turns, "
                f"{len(answers)} of them answers.",
                "Give each turn one, or each answer. If the column means something else, rename or remove it.",
            )
        for message, switch in zip(marked, switches, strict=True):
            if message["role"] != "assistant":
                if switch and name in MARKS:
                    notes.texts.add(IGNORED_MARK)
            elif switch is False:
                message["weight"] = 0


def marks_turns(name: str, value: Any) -> bool:
    """Whether a column holds a list of marks."""
    if name not in ALL_MARKS or not isinstance(value, list):
        return False
    marks = [mark for mark in value if mark is not None]
    return bool(marks) and all(parse_switch(mark) is not None for mark in marks)


def mark_roles(row: TrackedMapping, messages: list[Message], roles: Mapping[str, str]) -> None:
    """NeMo's column `mask` names the speaker whose turns are not trained."""
    name = row.peek("mask")
    if isinstance(name, str) and (role := roles.get(name.strip().lower())):
        row["mask"]
        for message in messages:
            if message["role"] == role == "assistant":
                message["weight"] = 0

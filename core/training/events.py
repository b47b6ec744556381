"""The events of a run: one JSON line each, appended by the worker, read by anyone from any offset."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter
from pydantic_core import from_json

from adapters.common.damaged_files import ensure_plain, open_plain
from core.common.json_records import Count, Moment


@dataclass(frozen=True, kw_only=True)
class Event:
    """`at` is seconds since the epoch; `kind` names the class in the file."""

    kind: ClassVar[str]
    at: Moment = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class StateChanged(Event):
    kind = "state"
    state: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """Step `step` of `max_steps` is done. `loss` is the mean per trained token since the last Progress.

    tokens: all tokens seen in this run, padding left out. seconds: time spent training in this run. Both go on counting
    over a resume. eta_seconds is None until a rate is known.
    """

    kind = "progress"
    step: Count
    max_steps: Count
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float | None = None
    tokens: Count = 0
    seconds: float = 0.0
    tokens_per_second: float | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation(Event):
    """Loss on the held-out split after `step`. `best` where no earlier evaluation was lower."""

    kind = "eval"
    step: Count
    eval_loss: float
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Event):
    """A complete checkpoint of `step` is at `path` (beneath the run folder): a PEFT folder one can chat with."""

    kind = "checkpoint"
    step: Count
    path: str


@dataclass(frozen=True, kw_only=True)
class SampleAnswer(Event):
    """What the adapter answers at `step`, greedily, to one of the run's fixed prompts."""

    kind = "sample"
    step: Count
    prompt: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """Something a person should know: an automatic choice with its reason, something cut or left out."""

    kind = "note"
    text: str


@dataclass(frozen=True, kw_only=True)
class Timing(Event):
    """Seconds that a whole run has spent besides its steps; None where it had nothing of the kind.

    preparing: from the worker's start to the first step. evaluation: one of them. checkpoint: one, its sample answers
    included. ending: after the last checkpoint. waited: for chats, in all. evaluated_tokens: in one evaluation.
    """

    kind = "timing"
    preparing: float | None = None
    evaluation: float | None = None
    checkpoint: float | None = None
    ending: float | None = None
    waited: float = 0.0
    evaluated_tokens: Count = 0


@dataclass(frozen=True, kw_only=True)
class Done(Event):
    """The run has left an adapter of this name in the store."""

    kind = "done"
    adapter: str


KINDS: dict[str, type[Event]] = {
    kind.kind: kind for kind in (StateChanged, Progress, Evaluation, Checkpoint, SampleAnswer, Note, Timing, Done)
}
SHAPES: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in KINDS.items()}


def append_event(path: Path, event: Event) -> None:
    """Append one line in one write. A line torn by an earlier crash is closed first, so that it can't spoil this one.

    Raises OSError when the disk is full.
    """
    line = json.dumps({"kind": event.kind} | dataclasses.asdict(event), ensure_ascii=False).encode() + b"\n"
    descriptor = os.open(ensure_plain(path), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        written = os.write(descriptor, line)
        if written < len(line):  # the disk filled up in the middle of it
            os.write(descriptor, line[written:])
    finally:
        os.close(descriptor)


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Events from byte `offset` on, and the offset to go on from.

    A last line without its newline is left for the next call (it may still be being written). A line that is not a
    whole event is a torn one and is skipped, and so is a kind that a newer version may have written. What stands there
    and is no plain file is set aside.
    """
    file = open_plain(path)
    if file is None:
        return [], offset
    with file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    events = [event for line in data[:end].splitlines() if (event := _parse(line)) is not None]
    return events, offset + end


def _parse(line: bytes) -> Event | None:
    try:
        values: dict[str, Any] = from_json(line)
        event: Event = SHAPES[values["kind"]].validate_json(line, strict=True)
        return event
    except (ValueError, TypeError, KeyError):
        return None

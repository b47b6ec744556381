"""JSON files of the home folder, read into what they must be: whatever is anything else is set aside as damaged."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter

from adapters.common import damaged_files

Value = TypeVar("Value")
Moment = Annotated[float, Field(ge=0, lt=253_402_300_800)]  # seconds since the epoch, up to the year 9999
Pid = Annotated[int, Field(gt=0, lt=2**31)]
Count = Annotated[int, Field(ge=0, lt=2**53)]


def read_lines(path: Path, shape: TypeAdapter[Value]) -> list[Value]:
    """The lines of a file as `shape` has them; those that are anything else stay in the file and are passed over."""
    found = []
    for line in lines_of(path):
        try:
            found.append(shape.validate_json(line, strict=True))
        except ValueError:
            continue
    return found


def unreadable_lines(path: Path, shape: TypeAdapter[Value]) -> int:
    """How many lines `read_lines` passes over."""
    return len(lines_of(path)) - len(read_lines(path, shape))


def lines_of(path: Path) -> list[bytes]:
    """The lines of a file that are not empty; none where there is no plain file."""
    file = damaged_files.open_plain(path)
    if file is None:
        return []
    with file:
        return [line for line in file.read().split(b"\n") if line.strip()]


def read_record(path: Path, shape: TypeAdapter[Value]) -> Value | None:
    """A file as `shape` has it, its unknown fields left out. None where there is none, or one that is now set aside.

    Raises OSError where it cannot be read for now, which is no fault of the file's.
    """
    return damaged_files.read(path, partial(shape.validate_json, strict=True))

"""The engine shares its copy of the base in device memory by a handle (CUDA IPC), which it publishes in a file.

processes/base.json says whose memory it is, by which handle it is opened, and what lies in it. Its mode is 0600: who
has the handle can write to the memory. The file is there from before the engine loads until it ends; a record of a
process that is gone means nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from adapters.common.files import write_atomic
from core.common.home import Home
from core.common.json_records import Count, Moment, Pid, read_record
from core.common.process import Identity, announced_engine

if TYPE_CHECKING:
    from torch import Tensor

POLL_SECONDS = 0.2
ENGINE_WAIT_SECONDS = 120.0  # for an engine that is there and has not come to its base yet
SAMPLE_BYTES = 1 << 20  # bytes at the start, in the middle and at the end by which opened memory is recognised


class HandleState(StrEnum):
    LOADING = "preparing"  # the base is being loaded
    SHARED = "lent"
    PRIVATE = "kept"  # the engine has a copy that it cannot share; the reason says why


@dataclass(frozen=True)
class SharedHandle:
    """What the engine says of its base.

    contents: the weights file's table of contents. sample: `sample_hash` of the bytes behind the handle.
    """

    owner: Identity
    state: HandleState
    reason: str = ""
    handle: bytes = b""
    nbytes: int = 0
    sample: str = ""
    contents: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Record:
    """A SharedHandle as the file has it."""

    pid: Pid
    started: Moment
    state: HandleState
    reason: str = ""
    handle: Annotated[str, Field(pattern="^([0-9a-f]{2})*$")] = ""
    nbytes: Count = 0
    sample: str = ""
    contents: dict[str, Any] = field(default_factory=dict)

    def to_handle(self) -> SharedHandle:
        owner, handle = Identity(self.pid, self.started), bytes.fromhex(self.handle)
        return SharedHandle(owner, self.state, self.reason, handle, self.nbytes, self.sample, self.contents)


_RECORD = TypeAdapter(_Record)


class HandlePublisher:
    """The engine's side: each method replaces the record. The record of this process is removed when it ends."""

    def __init__(self, home: Home) -> None:
        self.path = handle_path(home)
        self.own = Identity.own()
        atexit.register(self.withdraw)

    def announce_loading(self) -> None:
        self._write(HandleState.LOADING)

    def keep_private(self, reason: str) -> None:
        self._write(HandleState.PRIVATE, reason=reason)

    def publish(self, memory: Tensor, handle: bytes, contents: dict[str, Any]) -> None:
        self._write(
            HandleState.SHARED,
            handle=handle.hex(),
            nbytes=memory.numel(),
            sample=sample_hash(memory),
            contents=contents,
        )

    def withdraw(self) -> None:
        handle = read_handle(self.path)
        if handle is not None and handle.owner == self.own:
            self.path.unlink(missing_ok=True)

    def _write(self, state: HandleState, **facts: Any) -> None:
        owner = {"pid": self.own.pid, "started": self.own.started}
        write_atomic(self.path, json.dumps(owner | {"state": state} | facts))


def handle_path(home: Home) -> Path:
    return home.processes / "base.json"


def read_handle(path: Path) -> SharedHandle | None:
    """The record of the last engine, alive or not. None when there is none."""
    record = read_record(path, _RECORD)
    return record.to_handle() if record is not None else None


def wait_for_handle(
    home: Home, base_id: str, say: Callable[[str], None], should_stop: Callable[[], bool]
) -> SharedHandle | None:
    """The running engine's record once its base is loaded. None when no engine has this base, or will have it soon.

    `should_stop` is asked while waiting; where it says yes the answer is None.
    """
    deadline = time.monotonic() + ENGINE_WAIT_SECONDS
    while not should_stop():
        handle = read_handle(handle_path(home))
        if handle is not None and not handle.owner.alive():
            handle = None
        if handle is not None and handle.state is not HandleState.LOADING:
            return handle
        if handle is None and (time.monotonic() > deadline or not engine_serves_base(home, base_id)):
            return None
        say("waiting for the chat to load the base")
        time.sleep(POLL_SECONDS)
    return None


def running_engine(home: Home) -> Identity | None:
    """The engine of this home, loaded or still loading."""
    engine = announced_engine(home)
    return engine.identity if engine is not None and engine.alive() else None


def engine_serves_base(home: Home, base_id: str) -> bool:
    engine = announced_engine(home)
    return engine is not None and engine.alive() and engine.base == base_id


def sample_hash(memory: Tensor) -> str:
    """A hash of three samples of the bytes, which tells one base's memory from another's without reading all of it."""
    digest, size = hashlib.sha256(), memory.numel()
    for start in (0, size // 2, max(0, size - SAMPLE_BYTES)):
        digest.update(memory[start : start + SAMPLE_BYTES].cpu().numpy().data)
    return digest.hexdigest()

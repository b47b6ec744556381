"""The engine lends its copy of the base in device memory: who has it, by what handle it is opened, and what lies in it.

It says so in processes/base.json (mode 0600: who has the handle can write to the memory), from before it loads until it
ends. A record of a process that is gone means nothing.
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
from core.common.process import Identity, announced

if TYPE_CHECKING:
    from torch import Tensor

ENGINE_FILE = "engine.json"  # where the engine says that it is there, from its first moment (core.serving)
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 120.0  # for an engine that is there and has not come to its base yet
SAMPLE = 1 << 20  # bytes at the start, in the middle and at the end by which borrowed memory is recognised


class LoanState(StrEnum):
    PREPARING = "preparing"  # the base is being loaded
    LENT = "lent"
    KEPT = "kept"  # the engine has a copy that it can't lend; the reason says why


@dataclass(frozen=True)
class Loan:
    """What a lender says of its base. contents: the arena's; sample: the `sampled` bytes behind the handle."""

    owner: Identity
    state: LoanState
    reason: str = ""
    handle: bytes = b""
    nbytes: int = 0
    sample: str = ""
    contents: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Record:
    """A loan as it stands in the file."""

    pid: Pid
    started: Moment
    state: LoanState
    reason: str = ""
    handle: Annotated[str, Field(pattern="^([0-9a-f]{2})*$")] = ""
    nbytes: Count = 0
    sample: str = ""
    contents: dict[str, Any] = field(default_factory=dict)

    def loan(self) -> Loan:
        owner, handle = Identity(self.pid, self.started), bytes.fromhex(self.handle)
        return Loan(owner, self.state, self.reason, handle, self.nbytes, self.sample, self.contents)


_RECORD = TypeAdapter(_Record)


class Lender:
    """The engine's side: each method replaces what is said. What this process said goes when it ends."""

    def __init__(self, home: Home) -> None:
        self.path = loan_path(home)
        self.own = Identity.own()
        atexit.register(self.withdraw)

    def prepare(self) -> None:
        self._say(LoanState.PREPARING)

    def keep(self, reason: str) -> None:
        self._say(LoanState.KEPT, reason=reason)

    def lend(self, memory: Tensor, handle: bytes, contents: dict[str, Any]) -> None:
        self._say(LoanState.LENT, handle=handle.hex(), nbytes=memory.numel(), sample=sampled(memory), contents=contents)

    def withdraw(self) -> None:
        loan = read_loan(self.path)
        if loan is not None and loan.owner == self.own:
            self.path.unlink(missing_ok=True)

    def _say(self, state: LoanState, **facts: Any) -> None:
        owner = {"pid": self.own.pid, "started": self.own.started}
        write_atomic(self.path, json.dumps(owner | {"state": state} | facts))


def loan_path(home: Home) -> Path:
    return home.processes / "base.json"


def read_loan(path: Path) -> Loan | None:
    """What the last lender has said, alive or not. None when there is none."""
    record = read_record(path, _RECORD)
    return record.loan() if record is not None else None


def awaited_loan(home: Home, base_id: str, say: Callable[[str], None], give_up: Callable[[], bool]) -> Loan | None:
    """What the living engine says of its base once it is loaded. None when no engine has this base, or will soon.

    `give_up` is asked while waiting; where it says yes the answer is None.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not give_up():
        loan = read_loan(loan_path(home))
        if loan is not None and not loan.owner.alive():
            loan = None
        if loan is not None and loan.state is not LoanState.PREPARING:
            return loan
        if loan is None and (time.monotonic() > deadline or not engine_has(home, base_id)):
            return None
        say("waiting for the chat to load the base")
        time.sleep(POLL_SECONDS)
    return None


def living_engine(home: Home) -> Identity | None:
    """The engine of this home, however far it is."""
    engine = announced(home.processes / ENGINE_FILE)
    return engine.identity if engine is not None and engine.alive() else None


def engine_has(home: Home, base_id: str) -> bool:
    engine = announced(home.processes / ENGINE_FILE)
    return engine is not None and engine.alive() and engine.base == base_id


def sampled(memory: Tensor) -> str:
    """A hash of three samples of the bytes, which tells one base's memory from another's without reading all of it."""
    digest, size = hashlib.sha256(), memory.numel()
    for start in (0, size // 2, max(0, size - SAMPLE)):
        digest.update(memory[start : start + SAMPLE].cpu().numpy().data)
    return digest.hexdigest()

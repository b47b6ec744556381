"""A run that has room on the device only without the chat asks for the chat to be parked until the run has ended.

The worker asks, in processes/parked.json; the studio ends the engine, and brings it and its adapters back. Both sides
may die at any moment: what counts is whether the worker that has asked still lives. Imports nothing heavy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from adapters.common.files import write_atomic
from core.common.home import Home
from core.common.json_records import Moment, Pid, read_record
from core.common.process import Identity


@dataclass(frozen=True)
class SuspendRequest:
    """name: the run's, for people. adapters: the names that the engine had in memory, and shall have again."""

    run: str
    name: str
    pid: Pid
    started: Moment
    adapters: tuple[str, ...] = ()

    @property
    def is_active(self) -> bool:
        """Whether the worker that has asked is still at it."""
        return Identity(self.pid, self.started).alive()


_REQUEST = TypeAdapter(SuspendRequest)


def request_suspend(home: Home, run_id: str, name: str) -> None:
    """Have the chat parked while this very process lives. What an earlier asker's chat had in memory stays known."""
    own, earlier = Identity.own(), read_request(home)
    _write(home, SuspendRequest(run_id, name, own.pid, own.started, earlier.adapters if earlier else ()))


def read_request(home: Home) -> SuspendRequest | None:
    """What was asked last, wanted or not; None once the chat is back."""
    return read_record(_path(home), _REQUEST)


def save_adapters(home: Home, request: SuspendRequest, adapters: tuple[str, ...]) -> None:
    _write(home, replace(request, adapters=adapters))


def clear_request(home: Home) -> None:
    _path(home).unlink(missing_ok=True)


def _write(home: Home, request: SuspendRequest) -> None:
    write_atomic(_path(home), json.dumps(asdict(request)))


def _path(home: Home) -> Path:
    return home.processes / "parked.json"

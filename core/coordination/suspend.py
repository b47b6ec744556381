"""A run that fits the device only without the chat asks for the chat to be suspended until the run has ended.

The worker writes the request, processes/parked.json; the studio ends the engine and later resumes it with its adapters.
Both sides may die at any moment: a request counts as long as the worker that made it lives. Imports nothing heavy.
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
    """run: its id. name: the run's, for people. pid, started: the asking worker's.

    adapters: names of those that the engine had in memory, and is to have again.
    """

    run: str
    name: str
    pid: Pid
    started: Moment
    adapters: tuple[str, ...] = ()

    @property
    def is_active(self) -> bool:
        """Whether the worker that asks still lives."""
        return Identity(self.pid, self.started).alive()


_REQUEST = TypeAdapter(SuspendRequest)


def request_suspend(home: Home, run_id: str, name: str) -> None:
    """Have the chat suspended while this process lives. The adapters of an earlier request are kept."""
    own, earlier = Identity.own(), read_request(home)
    _write(home, SuspendRequest(run_id, name, own.pid, own.started, earlier.adapters if earlier else ()))


def read_request(home: Home) -> SuspendRequest | None:
    """The last request, active or not; None once the chat has been resumed."""
    return read_record(_path(home), _REQUEST)


def save_adapters(home: Home, request: SuspendRequest, adapters: tuple[str, ...]) -> None:
    _write(home, replace(request, adapters=adapters))


def clear_request(home: Home) -> None:
    _path(home).unlink(missing_ok=True)


def _write(home: Home, request: SuspendRequest) -> None:
    write_atomic(_path(home), json.dumps(asdict(request)))


def _path(home: Home) -> Path:
    return home.processes / "parked.json"

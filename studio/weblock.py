"""One web process per home folder."""

from __future__ import annotations

import json
import os

from filelock import FileLock

from adapters.files import write_atomic
from core.errors import UserError
from core.home import Home
from core.process import Identity
from studio.processes import read_record


class WebLock:
    """One web process per home folder. The record tells the second one where the first is to be found."""

    def __init__(self, home: Home) -> None:
        self.path = home.processes / "web.json"
        self.home = home

    def acquire(self, url: str) -> None:
        """Raises UserError when a living web process has this home folder."""
        with FileLock(self.home.processes / "web.lock"):
            record = read_record(self.path)
            identity = Identity.read(record)
            if identity is not None and identity.alive() and identity.pid != os.getpid():
                raise UserError(
                    f"Another Guanaco Studio (pid {identity.pid}) already uses the home folder {self.home.root}.",
                    f"Open {record.get('url')}, end that one first, or choose another folder with --home.",
                )
            own = Identity.own()
            write_atomic(self.path, json.dumps({"pid": own.pid, "started": own.started, "url": url}))

    def release(self) -> None:
        if Identity.read(read_record(self.path)) == Identity.own():
            self.path.unlink(missing_ok=True)

"""One web process per home folder."""

from __future__ import annotations

import json
import logging
import os

from filelock import FileLock, Timeout

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError
from adapters.common.files import no_room, write_atomic
from core.common.home import Home
from core.common.process import Identity, announced

log = logging.getLogger(__name__)


class WebLock:
    """Held as long as the web process lives, and let go by the kernel however that ends. The record tells a second one
    where the first is to be found; without it, damaged or not, the second one is refused all the same.
    """

    def __init__(self, home: Home) -> None:
        self.path = home.processes / "web.json"
        self.home = home
        self._unsaid = ""
        self._lock = FileLock(ensure_plain(home.processes / "web.lock"))

    def acquire(self, url: str, *, foreign_engine: bool = False) -> None:
        """Raises UserError when a living web process has this home folder.

        foreign_engine: another server is the engine, which whoever judges a recipe is to know.
        """
        other = announced(self.path)
        there = other is not None and other.alive() and other.pid != os.getpid()
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            there = True
        if there:
            self._lock.release()
            who, where = (f" (pid {other.pid})", f"Open {other.url}, e") if other is not None else ("", "E")
            raise UserError(
                f"Another Guanaco Studio{who} already uses the home folder {self.home.root}.",
                f"{where}nd that one first, or choose another folder with --home.",
            )
        own = Identity.own()
        record = {"pid": own.pid, "started": own.started, "url": url, "foreign_engine": foreign_engine}
        self._unsaid = json.dumps(record)
        self.say()
        if self._unsaid:
            log.warning("the disk is full, so where this studio is could not be written to %s yet", self.path)

    def say(self) -> None:
        """Write where this studio is, if that could not be done before for want of room."""
        try:
            if self._unsaid:
                write_atomic(self.path, self._unsaid)
                self._unsaid = ""
        except OSError as error:
            if not no_room(error):
                raise

    def release(self) -> None:
        found = announced(self.path)
        if found is not None and found.identity == Identity.own():
            self.path.unlink(missing_ok=True)
        self._lock.release()

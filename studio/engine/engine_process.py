"""The engine's process: started, or found alive and adopted; and ended."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

from adapters.common.damaged_files import ensure_plain
from core.common.home import Home
from core.common.process import ENGINE_FILE, Announced, Identity, announced_engine
from core.serving.settings import EngineSettings
from studio.engine.process_files import STOP_SECONDS, end_process, has_room, try_lock

log = logging.getLogger(__name__)
SILENT_SECONDS = 60.0  # for an engine that lives to say where it is


class EngineProcess:
    """At most one engine of a home folder. It outlives a killed web process, whose successor adopts it.

    identity: the process that was started or adopted; None before, and while somebody else's is awaited.
    """

    def __init__(self, home: Home, base: str) -> None:
        self.home = home
        self.base = base
        self.identity: Identity | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._silent_since: float | None = None

    @property
    def record_path(self) -> Path:
        return self.home.processes / ENGINE_FILE

    @property
    def lock_path(self) -> Path:
        return self.home.processes / "engine.lock"

    @property
    def log_path(self) -> Path:
        return self.home.processes / "engine.log"

    def is_alive(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            return False
        return self.identity is not None and self.identity.alive()

    def announced(self) -> Announced | None:
        """What the engine of this home says of itself in its record, whether it lives or not."""
        return announced_engine(self.home)

    def own_record(self) -> Announced | None:
        """The record of this very process; None while it is not listening yet."""
        found = self.announced()
        return found if found is not None and found.identity == self.identity else None

    def forget(self) -> None:
        self.identity = self._child = None

    def adopt(self, engine: Identity) -> None:
        self.identity, self._child = engine, None

    def adopt_or_spawn(self, settings: EngineSettings) -> bool:
        """Adopt a living engine with this base and these settings, or end another one and start one.

        False while another engine is just starting or ending: then it is to be called again later.
        """
        found = self.announced()
        if found is not None and found.alive():
            has_other_base = found.base not in (self.base, resolved_id(self.base))
            if not has_other_base and found.settings == settings.to_dict():
                log.info("adopting the living engine, pid %d", found.pid)
                self.adopt(found.identity)
                return True
            log.info("the living engine has %s: ending it", "another base" if has_other_base else "other settings")
            end_process(found)
        return self._spawn(settings)

    def _spawn(self, settings: EngineSettings) -> bool:
        """Start an engine. False where one lives that has not said yet where it is.

        The lock is inherited by the engine and held as long as it lives, from its very first moment.
        """
        command = [sys.executable, "-m", "core.serving", "--base", self.base, "--home", str(self.home.root)]
        command += settings.arguments()
        with ensure_plain(self.lock_path).open("ab") as lock, ensure_plain(self.log_path).open("ab") as log_file:
            if not try_lock(lock):
                self.forget()
                self._end_silent_engine()
                return False
            self._silent_since = None
            # A session of its own: the engine outlives a killed web process, which then adopts it.
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        self.identity = Identity.of(self._child.pid)
        return True

    def _end_silent_engine(self) -> None:
        """End an engine that lives and has not said where it is for too long: its record is damaged or gone."""
        if self._silent_since is None or not has_room(self.home):  # on a full disk it waits for room, as this does
            self._silent_since = time.monotonic()
        elif time.monotonic() - self._silent_since > SILENT_SECONDS and (silent := self._find_silent()) is not None:
            log.warning("engine %d lives and its %s is gone: ending it", silent.pid, self.record_path.name)
            end_process(silent)

    def _find_silent(self) -> Identity | None:
        return Identity.running("core.serving", str(self.home.root))

    def wait_for_announcement(self) -> Identity | None:
        """The engine that was started for this home and has yet to say where it is; None when there is none."""
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            found = self.announced()
            if found is not None and found.alive():
                return found
            with ensure_plain(self.lock_path).open("ab") as lock:
                if try_lock(lock):
                    return None
            time.sleep(0.1)
        return self._find_silent()


def resolved_id(base: str) -> str:
    from core.models.base import resolve

    return resolve(base).id

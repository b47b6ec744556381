"""The web process as supervisor: it starts the engine or adopts a living one, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import psutil

from core import parking
from core.errors import UserError
from core.home import Home
from core.priority import Busy
from core.process import Identity, announced
from core.serving.settings import EngineSettings, save_settings, settings_or_none
from studio import parked

log = logging.getLogger(__name__)

STARTING, LOADING, READY, FAILED, PARKED = "starting", "loading", "ready", "failed", "parked"
POLL_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
GIVE_UP_AFTER = 5  # deaths in a row without having been ready in between
STOP_SECONDS = 10.0
PARK_SECONDS = 15.0  # for answers under way when the chat is parked, or the engine started anew


@dataclass(frozen=True)
class EngineStatus:
    """What the engine is doing, in words for a person. `adapters` is its own list of what is resident where."""

    state: str
    detail: str = ""
    base: str = ""
    restarts: int = 0
    adapters: tuple[dict[str, Any], ...] = ()

    @property
    def ready(self) -> bool:
        return self.state == READY


class Engine:
    """One engine process: found alive and adopted, or started; watched by a thread; its URL and status for everyone.

    With `external_url` another server (such as vLLM) is the engine: it is asked for its health, never started.
    `given`: settings from the command line, which go before those that are saved in the home.
    """

    def __init__(
        self, home: Home, base: str, external_url: str | None = None, given: Mapping[str, Any] | None = None
    ) -> None:
        self.home = home
        self.base = base
        self.given = dict(given or {})
        self.saved = settings_or_none(home)
        self.settings = EngineSettings.from_dict(self.saved | self.given)
        self.external_url = external_url.rstrip("/") if external_url else None
        self.ready = threading.Event()
        self._status = EngineStatus(STARTING, "starting the engine")
        self._identity: Identity | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = self.external_url
        self._stopping = threading.Event()
        self._anew = threading.Event()
        self._thread = self._supervisor()
        self._http = httpx.Client(timeout=5.0, trust_env=False)

    @property
    def record_path(self) -> Path:
        return self.home.processes / "engine.json"

    @property
    def lock_path(self) -> Path:
        return self.home.processes / "engine.lock"

    @property
    def log_path(self) -> Path:
        return self.home.processes / "engine.log"

    @property
    def url(self) -> str | None:
        """Where the engine listens, or None while it does not."""
        return self._url

    @property
    def status(self) -> EngineStatus:
        return self._status

    @property
    def there(self) -> bool:
        """Whether it can answer, or there is nothing to wait for: it has given up, is parked, or is someone else's."""
        if self.external_url is not None or self._status.state in (FAILED, PARKED):
            return True
        return self.ready.is_set() and self._alive()

    def start(self) -> None:
        self._thread.start()

    def use(self, saved: Mapping[str, Any]) -> bool:
        """Save settings in the home and start the engine anew with them; False when they change nothing.

        Raises UserError, and changes nothing, when they are wrong or the engine is not this studio's own.
        """
        if self.external_url is not None:
            raise UserError("The engine is another server.", "Set it where that server is started.")
        settings = EngineSettings.from_dict({**saved, **self.given})
        save_settings(self.home, saved)
        self.saved = dict(saved)
        if settings == self.settings:
            return False
        self.settings = settings
        self._anew.set()
        if self._thread.ident is not None and not self._thread.is_alive():  # it had given up
            self._thread = self._supervisor()
            self._thread.start()
        return True

    async def wait_until_ready(self) -> None:
        """Return once the engine can answer. Raises UserError when it has given up, or is parked."""
        while not self.ready.is_set():
            if self._status.state == FAILED:
                raise UserError("The engine is not running.", self._status.detail)
            if self._status.state == PARKED:
                raise UserError(self._status.detail, "Ask again when the run has ended.")
            await asyncio.sleep(POLL_SECONDS / 2)

    def stop(self) -> None:
        """End the engine (not an external one) and the watching thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.external_url is None and (engine := self._identity or self._awaited()) is not None:
            end(engine)
        self._http.close()

    # ---- the watching thread

    def _supervisor(self) -> threading.Thread:
        return threading.Thread(target=self._watch, name="engine-supervisor", daemon=True)

    def _watch(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            if self._anew.is_set():
                self._anew.clear()
                deaths = 0
                self._let_go(self._identity, STARTING, "The engine is started again with other settings.")
            if self.external_url is None and (asked := parking.read(self.home)) is not None and asked.wanted:
                self._park(asked)
                self._stopping.wait(POLL_SECONDS)
                continue
            if self.external_url is None and not self._alive():
                self.ready.clear()
                if self._identity is not None:
                    deaths = 1 if self._status.ready else deaths + 1
                    log.warning("the engine died (%d in a row): %s", deaths, last_line(self.log_path))
                    if deaths >= GIVE_UP_AFTER:
                        self._give_up(deaths)
                        return
                    self._note(STARTING, "the engine died and is started again", restarts=self._status.restarts + 1)
                    self._stopping.wait(min(MAX_BACKOFF_SECONDS, 0.5 * 2 ** (deaths - 1)))
                    if self._stopping.is_set():
                        return
                self._adopt_or_spawn()
            self._poll()
            if self._status.ready and self._url is not None and self.external_url is None:
                parked.bring_back(self.home, self._http, self._url)
            self._stopping.wait(POLL_SECONDS)

    def _alive(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            return False
        return self._identity is not None and self._identity.alive()

    def _give_up(self, deaths: int) -> None:
        self._url = None
        self._note(
            FAILED,
            f"The engine ended {deaths} times in a row: {last_line(self.log_path)} "
            f"The whole log is {self.log_path}. Correct the cause and start the studio again.",
        )

    def _park(self, asked: parking.Parking) -> None:
        """End the engine, if it is there, for as long as the run needs its memory."""
        engine = self._identity or self._announced()
        if engine is not None and engine.alive():
            self._identity = engine
            self._poll()
            parked.remember(self.home, asked, self._status.adapters)
        self._let_go(engine, PARKED, parked.told())

    def _let_go(self, engine: Identity | None, state: str, detail: str) -> None:
        """End the engine, if there is one. Nothing new is passed on; what is being answered is given some time."""
        self.ready.clear()
        self._url = None
        self._note(state, detail)
        if engine is not None and engine.alive():
            busy, deadline = Busy(self.home), time.monotonic() + PARK_SECONDS
            while busy.rows() and time.monotonic() < deadline and not self._stopping.wait(POLL_SECONDS):
                pass
            end(engine)
        self._identity = self._process = None

    def _adopt_or_spawn(self) -> None:
        self._url = None
        found = announced(self.record_path)
        if found is not None and found.alive():
            other = found.base not in (self.base, resolved_id(self.base))
            if not other and found.settings == self.settings.to_dict():
                log.info("adopting the living engine, pid %d", found.pid)
                self._identity, self._process = found.identity, None
                return
            log.info("the living engine has %s: ending it", "another base" if other else "other settings")
            end(found)
        self._spawn()

    def _spawn(self) -> None:
        """Start an engine, unless there is one that has not come to say so yet: then look again later.

        The lock is inherited by the engine and held as long as it lives, from its very first moment.
        """
        command = [sys.executable, "-m", "core.serving", "--base", self.base, "--home", str(self.home.root)]
        command += self.settings.arguments()
        with self.lock_path.open("ab") as lock, self.log_path.open("ab") as log_file:
            if not locked(lock):
                self._note(STARTING, "waiting for an engine that is just starting or ending")
                self._identity = self._process = None
                return
            # A session of its own: the engine outlives a killed web process, which then adopts it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        self._identity = Identity.of(self._process.pid)

    def _announced(self) -> Identity | None:
        found = announced(self.record_path)
        return found.identity if found is not None else None

    def _awaited(self) -> Identity | None:
        """The engine that has been started for this home and has yet to say so; None when there is none."""
        deadline = time.monotonic() + STOP_SECONDS
        while self._thread.ident is not None and time.monotonic() < deadline:
            found = self._announced()
            if found is not None and found.alive():
                return found
            with self.lock_path.open("ab") as lock:
                if locked(lock):
                    return None
            time.sleep(0.1)
        return None

    def _poll(self) -> None:
        if self._url is None:
            found = announced(self.record_path)
            if found is None or found.identity != self._identity:
                return  # not listening yet
            self._url = found.url
        try:
            answer = self._http.get(f"{self._url}/health")
        except httpx.HTTPError as error:
            if self.external_url is not None:
                self.ready.clear()
                self._note(STARTING, f"The engine at {self._url} does not answer ({type(error).__name__}).")
            return
        health = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
        state = health.get("status", READY if answer.is_success else LOADING)
        detail = " ".join(filter(None, (health.get("phase", ""), health.get("detail", ""))))
        self._note(state, detail, base=health.get("base", ""), adapters=tuple(health.get("adapters", ())))
        if state == READY:
            self.ready.set()
        else:
            self.ready.clear()

    def _note(
        self,
        state: str,
        detail: str,
        *,
        base: str | None = None,
        restarts: int | None = None,
        adapters: tuple[dict[str, Any], ...] = (),
    ) -> None:
        old = self._status
        self._status = EngineStatus(
            state,
            detail,
            old.base if base is None else base,
            old.restarts if restarts is None else restarts,
            adapters,
        )


def end(identity: Identity, seconds: float = STOP_SECONDS) -> None:
    """SIGTERM, a while to leave, then SIGKILL. Returns when the process is gone."""
    if not identity.signal(signal.SIGTERM):
        return
    deadline = time.monotonic() + seconds
    try:
        process = psutil.Process(identity.pid)
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except psutil.TimeoutExpired:
        identity.signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


def locked(file: IO[bytes]) -> bool:
    """Take the lock on an open file, until it and every copy of it in other processes are closed; False if taken."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def resolved_id(base: str) -> str:
    from core.base import resolve

    return resolve(base).id


def last_line(path: Path) -> str:
    """The last line of a log that says something, shortened; "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

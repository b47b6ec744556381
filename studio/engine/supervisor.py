"""The web process as supervisor: it starts the engine or adopts a living one, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from adapters.common.damaged_files import plain
from adapters.common.errors import UserError
from adapters.common.files import no_room
from core.common.home import Home
from core.common.process import Identity, announced
from core.coordination import suspend
from core.coordination.chat_activity import Busy
from core.serving.settings import EngineSettings, save_settings, saved_settings
from studio.engine import suspend as parked
from studio.engine.process_files import STOP_SECONDS, end, has_room, last_line, locked
from studio.engine.vllm import VllmServer, with_key

log = logging.getLogger(__name__)

STARTING, LOADING, READY, FAILED, PARKED = "starting", "loading", "ready", "failed", "parked"
POLL_SECONDS = 0.5
ELSEWHERE_SECONDS = 1.0  # another server has a log, too
MAX_BACKOFF_SECONDS = 30.0
GIVE_UP_AFTER = 5  # deaths in a row without having been ready in between
REST_SECONDS = 300.0  # after that, until it is tried once more
SILENT_SECONDS = 60.0  # for an engine that lives to say where it is
FULL = "The disk is full: the engine starts as soon as there is room"
PARK_SECONDS = 15.0  # for answers under way when the chat is parked, or the engine started anew


@dataclass(frozen=True)
class EngineStatus:
    """What the engine is doing, in words for a person. `adapters` is its own list of what is resident where.

    `cause`: more of a failure, for the owner alone; a log names paths.
    """

    state: str
    detail: str = ""
    base: str = ""
    restarts: int = 0
    adapters: tuple[dict[str, Any], ...] = ()
    cause: str = ""

    @property
    def ready(self) -> bool:
        return self.state == READY


@dataclass(frozen=True)
class Resting:
    """The engine has given up until then (on time.monotonic's clock), or until a disk that was full has room."""

    until: float
    disk_full: bool


class EngineSupervisor:
    """One engine process: found alive and adopted, or started; watched by a thread; its URL and status for everyone.

    With `external_url` another server (such as vLLM) is the engine: it is asked for its health, never started;
    `seen_home` is the home folder's path as that server sees it.
    `given`: settings from the command line, which go before those that are saved in the home.
    """

    def __init__(
        self,
        home: Home,
        base: str,
        external_url: str | None = None,
        command_line: Mapping[str, Any] | None = None,
        server_home: str | None = None,
    ) -> None:
        self.home = home
        self.base = base
        self.command_line = dict(command_line or {})
        self._read_settings()
        self.external_url = external_url.rstrip("/").removesuffix("/v1") if external_url else None
        self.headers = with_key() if external_url else {}  # of every request to it
        self._elsewhere = (
            VllmServer(home, self.external_url, base, server_home, self.headers) if self.external_url else None
        )
        self.vllm: VllmServer | None = self._elsewhere  # None too where another studio's engine turns out to be there
        self.ready = threading.Event()
        self._status = EngineStatus(STARTING, "starting the engine")
        self._identity: Identity | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = self.external_url
        self._stopping = threading.Event()
        self._anew = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="engine-supervisor", daemon=True)
        self._deaths = 0  # in a row
        self._resting: Resting | None = None
        self._silent_since: float | None = None
        self._http = httpx.Client(headers=self.headers, timeout=5.0, trust_env=False)

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
    def is_settled(self) -> bool:
        """Whether it can answer, or there is nothing to wait for: it has given up, is parked, or is someone else's."""
        if self.external_url is not None or self._status.state in (FAILED, PARKED):
            return True
        return self.ready.is_set() and self._alive()

    def start(self) -> None:
        self._read_settings()  # once more: the home may have been brought back meanwhile
        self._thread.start()

    def _read_settings(self) -> None:
        self.saved = saved_settings(self.home)
        self.settings = EngineSettings.from_dict(self.saved | self.command_line)

    def apply_settings(self, saved: Mapping[str, Any]) -> bool:
        """Save settings in the home and start the engine anew with them; False when nothing is different and it runs.

        Raises UserError, and changes nothing, when they are wrong or the engine is not this studio's own.
        """
        if self.external_url is not None:
            raise UserError("The engine is another server.", "Set it where that server is started.")
        settings = EngineSettings.from_dict({**saved, **self.command_line})
        save_settings(self.home, saved)
        self.saved = dict(saved)
        if settings == self.settings and self._status.state != FAILED:
            return False
        self.settings = settings
        self._anew.set()
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

    def _watch(self) -> None:
        """Nothing that fails ends this thread: it is what brings the engine back."""
        trouble = ""
        while not self._stopping.is_set():
            try:
                self._look()
                trouble = ""
            except Exception as error:
                if trouble != (trouble := repr(error)):
                    log.exception("the engine could not be looked after; trying again")
                if not self._alive():
                    self._note(STARTING, FULL if no_room(error) else f"The engine cannot be started: {error}.")
            self._stopping.wait(POLL_SECONDS if self.external_url is None else ELSEWHERE_SECONDS)

    def _look(self) -> None:
        if self._anew.is_set():
            self._anew.clear()
            self._deaths, self._resting = 0, None
            self._let_go(self._identity, STARTING, "The engine is started again with other settings.")
        if self.external_url is None and (asked := suspend.read_request(self.home)) is not None and asked.is_active:
            return self._park(asked)
        if self.external_url is None and not self._alive():
            self.ready.clear()
            if self._identity is not None and not self._start_again():
                return None
            self._adopt_or_spawn()
        self._poll()
        if self._status.ready and self._url is not None and self.external_url is None:
            parked.restore_adapters(self.home, self._http, self._url)
        return None

    def _start_again(self) -> bool:
        """Count a death. False while it is not the time to start the engine again."""
        if self._resting is not None:  # it has given up; with room on the disk or after a while it tries once more
            if not (self._resting.disk_full and has_room(self.home)) and time.monotonic() < self._resting.until:
                return False
            self._deaths -= 1
            self._resting = None
            return True
        self._deaths = 1 if self._status.ready else self._deaths + 1
        log.warning("the engine died (%d in a row): %s", self._deaths, last_line(self.log_path))
        if self._deaths >= GIVE_UP_AFTER:
            self._give_up()
            return False
        self._note(STARTING, "the engine died and is started again", restarts=self._status.restarts + 1)
        return not self._stopping.wait(min(MAX_BACKOFF_SECONDS, 0.5 * 2 ** (self._deaths - 1)))

    def _alive(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            return False
        return self._identity is not None and self._identity.alive()

    def _give_up(self) -> None:
        self._url = None
        full = not has_room(self.home)
        self._resting = Resting(time.monotonic() + REST_SECONDS, full)
        again = "as soon as there is room" if full else f"in {REST_SECONDS / 60:.0f} minutes"
        self._note(
            FAILED,
            f"The engine ended {self._deaths} times in a row. {'The disk is full. ' if full else ''}"
            f"It is tried once more {again}.",
            cause=f"Its last words: {last_line(self.log_path)} The whole log is {self.log_path}.",
        )

    def _park(self, asked: suspend.SuspendRequest) -> None:
        """End the engine, if it is there, for as long as the run needs its memory."""
        engine = self._identity or self._announced()
        if engine is not None and engine.alive():
            self._identity = engine
            self._poll()
            parked.remember_adapters(self.home, asked, self._status.adapters)
        self._let_go(engine, PARKED, parked.suspended_message())

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
        with plain(self.lock_path).open("ab") as lock, plain(self.log_path).open("ab") as log_file:
            if not locked(lock):
                self._note(STARTING, "waiting for an engine that is just starting or ending")
                self._identity = self._process = None
                self._end_silent()
                return
            self._silent_since = None
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

    def _end_silent(self) -> None:
        """End an engine that lives and has not said where it is for too long: its record is damaged or gone."""
        if self._silent_since is None or not has_room(self.home):  # on a full disk it waits for room, as this does
            self._silent_since = time.monotonic()
        elif time.monotonic() - self._silent_since > SILENT_SECONDS and (silent := self._silent()) is not None:
            log.warning("engine %d lives and its %s is gone: ending it", silent.pid, self.record_path.name)
            end(silent)

    def _silent(self) -> Identity | None:
        return Identity.running("core.serving", str(self.home.root))

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
            with plain(self.lock_path).open("ab") as lock:
                if locked(lock):
                    return None
            time.sleep(0.1)
        return self._silent() if self._thread.ident is not None else None

    def _poll(self) -> None:
        if self._url is None:
            found = announced(self.record_path)
            if found is None or found.identity != self._identity:
                if not has_room(self.home):
                    self._note(STARTING, FULL)
                return  # not listening yet
            self._url = found.url
        try:
            answer = self._http.get(f"{self._url}/health")
        except httpx.HTTPError as error:
            if self.external_url is not None:
                self.ready.clear()
                self._note(STARTING, f"The server of --engine-url does not answer ({type(error).__name__}).")
            return
        health = body_of(answer)
        if self._elsewhere is not None:
            self.vllm = None if "status" in health else self._elsewhere
        if self.vllm is not None:
            health = self.vllm.health(answer.is_server_error)
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
        cause: str = "",
    ) -> None:
        old = self._status
        self._status = EngineStatus(
            state,
            detail,
            old.base if base is None else base,
            old.restarts if restarts is None else restarts,
            adapters,
            cause,
        )


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer; {} where there is none, as in vLLM's /health."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def resolved_id(base: str) -> str:
    from core.models.base import resolve

    return resolve(base).id

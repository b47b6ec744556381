"""The web process as supervisor: it starts the engine or adopts a living one, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx

from adapters.common.errors import UserError
from adapters.common.files import no_room
from core.common.home import Home
from core.common.process import Identity
from core.coordination import suspend
from core.coordination.chat_activity import ChatActivity
from core.serving.settings import EngineSettings, save_settings, saved_settings
from studio.engine.engine_process import EngineProcess
from studio.engine.process_files import end_process, has_room, read_last_line
from studio.engine.restart_policy import RETRY_SECONDS, RestartPolicy
from studio.engine.status import FAILED, LOADING, READY, STARTING, SUSPENDED, EngineStatus
from studio.engine.suspend import remember_adapters, restore_adapters, suspended_message
from studio.engine.vllm_client import VllmClient, authorization_headers
from studio.web.tls import tls_context

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
EXTERNAL_POLL_SECONDS = 1.0  # another server has a log, too
DISK_FULL = "The disk is full: the engine starts as soon as there is room"
DRAIN_SECONDS = 15.0  # for answers under way when the chat is parked, or the engine started anew


class EngineSupervisor:
    """One engine process: found alive and adopted, or started; watched by a thread; its URL and status for everyone.

    external_url: another server (such as vLLM) is the engine: it is asked for its health, never started;
    server_home: the home folder's path as that server sees it.
    command_line: settings from the command line, which go before those that are saved in the home.
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
        self.headers = authorization_headers() if external_url else {}  # of every request to it
        url = self.external_url
        self._external = VllmClient(home, url, base, server_home, self.headers) if url else None
        self.vllm: VllmClient | None = self._external  # None too where another studio's engine turns out to be there
        self.ready = threading.Event()
        self.process = EngineProcess(home, base)
        self._restarts = RestartPolicy()
        self._status = EngineStatus(STARTING, "starting the engine")
        self._url: str | None = self.external_url
        self._stopping = threading.Event()
        self._settings_changed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="engine-supervisor", daemon=True)
        self._http = httpx.Client(
            headers=self.headers, timeout=5.0, trust_env=False, verify=tls_context(trust_env=False)
        )

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
        if self.external_url is not None or self._status.state in (FAILED, SUSPENDED):
            return True
        return self.ready.is_set() and self.process.is_alive()

    def start(self) -> None:
        self._read_settings()  # once more: the home may have been restored meanwhile
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
        self._settings_changed.set()
        return True

    async def wait_until_ready(self) -> None:
        """Return once the engine can answer. Raises UserError when it has given up, or is parked."""
        while not self.ready.is_set():
            if self._status.state == FAILED:
                raise UserError("The engine is not running.", self._status.detail)
            if self._status.state == SUSPENDED:
                raise UserError(self._status.detail, "Ask again when the run has ended.")
            await asyncio.sleep(POLL_SECONDS / 2)

    def stop(self) -> None:
        """End the engine (not an external one) and the watching thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        engine = self.process.identity
        if self.external_url is None and engine is None and self._thread.ident is not None:
            engine = self.process.wait_for_announcement()
        if self.external_url is None and engine is not None:
            end_process(engine)
        self._http.close()

    # ---- the watching thread

    def _watch(self) -> None:
        """Nothing that fails ends this thread: it is what brings the engine back."""
        last_error = ""
        while not self._stopping.is_set():
            try:
                self._supervise_once()
                last_error = ""
            except Exception as error:
                if last_error != (last_error := repr(error)):
                    log.exception("the engine could not be looked after; trying again")
                if not self.process.is_alive():
                    detail = DISK_FULL if no_room(error) else f"The engine cannot be started: {error}."
                    self._set_status(STARTING, detail)
            self._stopping.wait(POLL_SECONDS if self.external_url is None else EXTERNAL_POLL_SECONDS)

    def _supervise_once(self) -> None:
        if self._settings_changed.is_set():
            self._settings_changed.clear()
            self._restarts.reset()
            self._end_engine(self.process.identity, STARTING, "The engine is started again with other settings.")
        if self.external_url is None:
            request = suspend.read_request(self.home)
            if request is not None and request.is_active:
                self._suspend(request)
                return
            if not self.process.is_alive():
                self.ready.clear()
                if self.process.identity is not None and not self._may_restart():
                    return
                self._adopt_or_spawn()
        self._poll_health()
        if self._status.ready and self._url is not None and self.external_url is None:
            restore_adapters(self.home, self._http, self._url)

    def _may_restart(self) -> bool:
        """Count a death, and wait for the pause after it. False while the engine is not to be started again."""
        if self._restarts.retry is not None:
            return self._restarts.try_once_more(has_room(self.home))
        self._restarts.count_death(self._status.ready)
        log.warning("the engine died (%d in a row): %s", self._restarts.deaths, read_last_line(self.process.log_path))
        if self._restarts.is_exhausted:
            self._give_up()
            return False
        self._set_status(STARTING, "the engine died and is started again", restarts=self._status.restarts + 1)
        return not self._stopping.wait(self._restarts.pause)

    def _give_up(self) -> None:
        self._url = None
        disk_full = not has_room(self.home)
        self._restarts.give_up(disk_full)
        again = "as soon as there is room" if disk_full else f"in {RETRY_SECONDS / 60:.0f} minutes"
        log_path = self.process.log_path
        self._set_status(
            FAILED,
            f"The engine ended {self._restarts.deaths} times in a row. {'The disk is full. ' if disk_full else ''}"
            f"It is tried once more {again}.",
            cause=f"Its last words: {read_last_line(log_path)} The whole log is {log_path}.",
        )

    def _suspend(self, request: suspend.SuspendRequest) -> None:
        """End the engine, if it is there, for as long as the run needs its memory."""
        engine = self.process.identity
        if engine is None and (found := self.process.announced()) is not None:
            engine = found.identity
        if engine is not None and engine.alive():
            self.process.identity = engine
            self._poll_health()
            remember_adapters(self.home, request, self._status.adapters)
        self._end_engine(engine, SUSPENDED, suspended_message())

    def _end_engine(self, engine: Identity | None, state: str, detail: str) -> None:
        """End the engine, if there is one. Nothing new is passed on; what is being answered is given some time."""
        self.ready.clear()
        self._url = None
        self._set_status(state, detail)
        if engine is not None and engine.alive():
            busy, deadline = ChatActivity(self.home), time.monotonic() + DRAIN_SECONDS
            while busy.answers() and time.monotonic() < deadline and not self._stopping.wait(POLL_SECONDS):
                pass
            end_process(engine)
        self.process.forget()

    def _adopt_or_spawn(self) -> None:
        self._url = None
        if not self.process.adopt_or_spawn(self.settings):
            self._set_status(STARTING, "waiting for an engine that is just starting or ending")

    def _poll_health(self) -> None:
        if self._url is None:
            record = self.process.own_record()
            if record is None:
                if not has_room(self.home):
                    self._set_status(STARTING, DISK_FULL)
                return  # not listening yet
            self._url = record.url
        try:
            answer = self._http.get(f"{self._url}/health")
        except httpx.HTTPError as error:
            if self.external_url is not None:
                self.ready.clear()
                self._set_status(STARTING, f"The server of --engine-url does not answer ({type(error).__name__}).")
            return
        health = json_object(answer)
        if self._external is not None:
            self.vllm = None if "status" in health else self._external
        if self.vllm is not None:
            health = self.vllm.health(answer.is_server_error)
        state = health.get("status", READY if answer.is_success else LOADING)
        detail = " ".join(filter(None, (health.get("phase", ""), health.get("detail", ""))))
        self._set_status(state, detail, base=health.get("base", ""), adapters=tuple(health.get("adapters", ())))
        if state == READY:
            self.ready.set()
        else:
            self.ready.clear()

    def _set_status(
        self,
        state: str,
        detail: str,
        *,
        base: str | None = None,
        restarts: int | None = None,
        adapters: tuple[dict[str, Any], ...] = (),
        cause: str = "",
    ) -> None:
        """A base or a number of restarts that is not given stays as it was."""
        old = self._status
        base = old.base if base is None else base
        restarts = old.restarts if restarts is None else restarts
        self._status = EngineStatus(state, detail, base, restarts, adapters, cause)


def json_object(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer; {} where there is none, as in vLLM's /health."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

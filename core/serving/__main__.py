"""python -m core.serving: the engine's process. It listens at once, says where, and then loads the base."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import uvicorn

from adapters.common.errors import UserError
from adapters.common.files import no_room, write_atomic
from core.common.collector import imported_to_stay
from core.common.freed_memory import return_freed_memory
from core.common.home import Home
from core.common.process import ENGINE_FILE, announced
from core.models.base import BaseSource, resolve, without_location
from core.models.device import Choice
from core.serving.api.event_stream import send_to_loop
from core.serving.api.server import Server
from core.serving.api.state import ServerState
from core.serving.settings import EngineSettings, add_arguments, settings_from_arguments

if TYPE_CHECKING:
    from core.serving.engine.sequence import RequestOutput, Sequence
    from core.serving.service import Service

EXIT_USAGE = 2
EXIT_FAULT = 70
"""The device has failed or the engine has a bug: start it anew."""
GRACE_SECONDS = 3  # for answers under way when the process ends

NO_ROOM_SECONDS = 2.0  # between two attempts on a full disk
SWITCH_SECONDS = 0.0005  # after which a thread that wants the interpreter gets it

log = logging.getLogger("core.serving")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core.serving", description=__doc__)
    parser.add_argument("--base", default="builtin", help="builtin, a Hub id or a folder")
    parser.add_argument("--home", type=Path, help="home folder (default: STUDIO_HOME or the user's data folder)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    add_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = EngineSettings.from_dict(settings_from_arguments(arguments))
        source, home = resolve(arguments.base), Home.open(arguments.home)
        listening = listen(arguments.host, arguments.port)
    except UserError as error:
        print(f"{error.message} {error.remedy}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    return asyncio.run(serve(settings, source, home, listening))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UserError when the port is taken or the address is not this machine's."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise UserError(
            f"The engine cannot listen on {host}:{port}: {error.strerror}.", "Choose another port, or 0 for any."
        ) from error
    return listening


async def serve(settings: EngineSettings, source: BaseSource, home: Home, listening: socket.socket) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    loop = asyncio.get_running_loop()
    instance = uuid.uuid4().hex
    state = ServerState(source.name, os.getpid(), psutil.Process().create_time(), instance)
    host, port = listening.getsockname()[:2]
    app = Server(state).app(hosts=["127.0.0.1", "localhost", "[::1]", host])
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
    server = QuietServer(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    engine = EngineThread(settings, source, home, state, loop, stop=lambda: setattr(server, "should_exit", True))
    thread = threading.Thread(target=engine, name="engine", daemon=True)
    readiness = home.processes / ENGINE_FILE
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    facts = {"pid": state.pid, "started": state.started, "url": url, "base": source.id, "instance": instance}
    facts["settings"] = settings.to_dict()
    content = json.dumps(facts)
    writing = None if write_readiness(readiness, content) else asyncio.create_task(retry_readiness(readiness, content))
    log.info("listening on %s", url)
    thread.start()
    try:
        await server.serve(sockets=[listening])
    finally:
        if writing is not None:
            writing.cancel()
        if state.service is not None:
            state.service.close()
        with contextlib.suppress(OSError):
            if (found := announced(readiness)) is not None and found.instance == instance:
                readiness.unlink()
    await loop.run_in_executor(None, thread.join, GRACE_SECONDS)
    engine.watchdog.cancel()
    return engine.exit_code


def write_readiness(path: Path, content: str) -> bool:
    """Write the file by which the studio finds this engine. False on a full disk."""
    try:
        write_atomic(path, content)
        return True
    except OSError as error:
        if not no_room(error):
            raise
        return False


async def retry_readiness(path: Path, content: str) -> None:
    """Write the readiness file as soon as the disk has room."""
    log.warning("the disk is full: %s cannot be written yet, and the studio does not find this engine", path)
    while not write_readiness(path, content):
        await asyncio.sleep(NO_ROOM_SECONDS)


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers, which would end the process by the signal instead of a code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class EngineThread:
    """The engine's thread: load the base, then run the loop until it is closed."""

    settings: EngineSettings
    source: BaseSource
    home: Home
    state: ServerState
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    exit_code: int = 0
    watchdog: threading.Timer = field(
        default_factory=lambda: threading.Timer(3 * GRACE_SECONDS, os._exit, [EXIT_FAULT])
    )

    def __call__(self) -> None:
        try:
            service = self._load()
        except UserError as error:
            log.error("%s", error)
            self.state.fail(str(error))
            return
        except Exception as error:
            log.exception("the base could not be loaded")
            why = without_location(self.source, f"{type(error).__name__}: {error}")
            self.state.fail(f"The base {self.source.name} could not be loaded. {why}")
            return
        # What is loaded stays, and is no garbage: to look through its half a million objects again takes 0.25 s, in
        # which no token comes.
        gc.collect()
        gc.freeze()
        return_freed_memory()
        self.state.ready(service)
        log.info("ready")
        try:
            service.engine.run()
        except BaseException:
            log.critical("the engine has failed; the process ends with code %d", EXIT_FAULT, exc_info=True)
            self.exit_code = EXIT_FAULT
            self.state.fail("The engine has failed; its log says why.")
            # the process must end even if the event loop hangs as well
            self.watchdog.daemon = True
            self.watchdog.start()
            self.loop.call_soon_threadsafe(self.stop)

    def _load(self) -> Service:
        self.state.begin_phase("importing torch")
        # Nothing here is compiled. With this torch does not import its compiler for bitsandbytes, which saves 2 s.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        with imported_to_stay("torch"):
            import torch
            from transformers.utils import logging as transformers_logging

            from core.serving.service import Service

        transformers_logging.disable_progress_bar()
        # The thread that decodes needs the interpreter for a moment between two tokens. With Python's own 5 ms it waits
        # for the one that sends them.
        sys.setswitchinterval(SWITCH_SECONDS)
        threads = choose_threads(self.settings.threads)
        torch.set_num_threads(int(threads.value))
        on_outputs, on_phase = self._output_handler(), self.state.begin_phase
        service = Service(self.source, self.home, self.settings, on_outputs=on_outputs, on_phase=on_phase)
        service.choices["threads"] = threads
        return service

    def _output_handler(self) -> Callable[[list[tuple[Sequence, RequestOutput]]], None]:
        """Passes outputs to the event loop; the first ones show how long the process took to its first token."""
        send = send_to_loop(self.loop)

        def handle(outputs: list[tuple[Sequence, RequestOutput]]) -> None:
            self.state.phases.end_start()
            send(outputs)

        return handle


def choose_threads(wanted: int | None) -> Choice:
    """How many threads torch gets."""
    if wanted:
        return Choice(str(wanted), "asked for")
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        return Choice(given, "OMP_NUM_THREADS")
    cores = psutil.cpu_count(logical=False) or 2
    return Choice(str(max(1, cores // 2)), "half of the cores: a training run has the other half")


if __name__ == "__main__":
    sys.exit(main())

"""`python -m studio serve`: the page, the API and TensorBoard on one port, and the engine behind them."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from adapters.common.errors import UserError
from core.common.collector import imported_to_stay
from core.common.home import Home
from core.serving.settings import EngineSettings, flag, settings_from_arguments
from core.serving.settings import add_arguments as add_engine_arguments
from studio.cli.options import Subparsers

if TYPE_CHECKING:
    from core.training.run import Run
    from studio.backup.backup import Backup
    from studio.engine.supervisor import EngineSupervisor
    from studio.web.lock import WebLock

QUEUE_SECONDS = 1.0
LEAVE_SECONDS = 12.0  # for a checkpoint; a Space going down gives 30 seconds for everything
KEEP_SECONDS = 10.0  # for the last state


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("serve", help="start the studio (the default)")
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--base",
        default=os.environ.get("STUDIO_BASE", "builtin"),
        help="builtin, a Hub id, or a folder (default: STUDIO_BASE, else builtin)",
    )
    parser.add_argument("--home", default=None, help="folder for runs, adapters and datasets (default: STUDIO_HOME)")
    parser.add_argument(
        "--keep-in",
        default=None,
        metavar="PLACE",
        help="keep the home folder there too, and bring it back when it is empty: a folder, or owner/name of "
        "a private dataset repository on the Hub (default: STUDIO_KEEP_IN; on a Space its volume)",
    )
    parser.add_argument("--engine-url", default=None, help="use this vLLM server (docs/vllm.md) instead of an engine")
    parser.add_argument(
        "--engine-home",
        default=None,
        metavar="PATH",
        help="the home folder as the server of --engine-url sees it (default: the same path)",
    )
    parser.add_argument(
        "--access-token", default=None, help="ask everyone for this token, the owner's (better: STUDIO_ACCESS_TOKEN)"
    )
    parser.add_argument(
        "--user-token", default=None, help="one more, with which people chat but do not train (or STUDIO_USER_TOKEN)"
    )
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from core.common.redaction import mask_logs
    from core.models.base import resolve
    from core.training.cleanup import remove_leftovers
    from studio.auth.identity import AccessSettings, is_loopback
    from studio.context import Studio
    from studio.engine.background_measurement import BackgroundMeasurement
    from studio.engine.supervisor import EngineSupervisor
    from studio.web.lock import WebLock
    from studio.web.server import serve_until_stopped

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpx2", "tensorboard"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    settings = AccessSettings.from_environment(args.access_token, args.user_token)
    settings.check_binding(args.host)
    mask_logs(settings.access_token, settings.user_token)
    given = engine_settings(args)
    resolve(args.base)  # a wrong name should fail here, not in the engine's log
    home = Home.open(args.home)
    listener = open_listener(args.host, args.port)
    port = listener.getsockname()[1]
    url = f"http://{'127.0.0.1' if is_loopback(args.host) else args.host}:{port}"
    lock = WebLock(home)
    lock.acquire(url, foreign_engine=args.engine_url is not None)
    remove_leftovers(home)
    engine = EngineSupervisor(home, args.base, args.engine_url, given, args.engine_home)
    measurement = BackgroundMeasurement(home, engine)
    queue_stop = threading.Event()
    backup = None
    try:
        backup = restore_home(home, args.keep_in)
        engine.start()  # it loads while this process imports Gradio and builds the page, which takes seconds
        with imported_to_stay("gradio"):
            from studio.app import build_app

        app = build_app(Studio.over(home, args.base, engine, backup, measurement), settings)
        threading.Thread(target=advance_queue, args=(home, engine, lock, queue_stop), daemon=True).start()
        print(f"Guanaco Studio: {url}   (home: {home.root})", flush=True)
        log_start_time()
        measurement.start()
        serve_until_stopped(app, listener)
    finally:
        queue_stop.set()
        measurement.stop()
        stop_runs(home)
        if backup is not None:
            backup.stop(KEEP_SECONDS)
        engine.stop()
        remove_leftovers(home)
        lock.release()
        listener.close()
    return 0


def engine_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Those given on the command line. Raises UserError when one is wrong, or another server is the engine."""
    given = settings_from_arguments(args)
    EngineSettings.from_dict(given)
    if args.engine_url and not args.engine_url.startswith(("http://", "https://")):
        raise UserError(f"--engine-url is {args.engine_url}.", "Give its whole address, such as http://127.0.0.1:8000.")
    if args.engine_home and not args.engine_url:
        raise UserError("--engine-home is how another server sees the home.", "Give that server's --engine-url, too.")
    if given and args.engine_url:
        raise UserError(
            f"--engine-url names another server, which is not told {', '.join(map(flag, given))}.",
            "Set it where that server is started, or leave --engine-url out.",
        )
    return given


def log_start_time() -> None:
    """How long it took until the page is there; in a container also since that was started, its first process's age."""
    import psutil

    log, now = logging.getLogger(__name__), time.time()
    log.info("the page is there %.1f s after this process began", now - psutil.Process().create_time())
    if os.environ.get("SPACE_ID"):
        log.info("that is %.1f s after the container was started", now - psutil.Process(1).create_time())


def open_listener(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything else is started. Raises UserError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserError(
            f"Port {port} on {host} cannot be used: {error.strerror}.",
            f"End what listens there, or choose another port, such as --port {port + 1}.",
        ) from error
    return listener


def restore_home(home: Home, keep_in: str | None) -> Backup | None:
    """Restore an empty home from its backup, before anything reads it, and save it there from now on."""
    from studio.backup.backup import backup_location, open_backup

    location = backup_location(keep_in)
    if location is None:
        return None
    backup = open_backup(home, location)
    began = time.monotonic()
    if count := backup.restore():
        seconds = time.monotonic() - began
        logging.getLogger(__name__).info("%d files came back from %s in %.1f s", count, backup.target.where, seconds)
    backup.start()
    return backup


def stop_runs(home: Home) -> None:
    """Have living runs write a checkpoint and go; they resume by themselves when the studio starts again."""
    from core.training.launcher import request_pause
    from core.training.run import list_statuses
    from core.training.state import ACTIVE

    def active() -> list[Run]:
        return [run for run, status in list_statuses(home) if status.state in ACTIVE]

    for run in active():
        try:
            request_pause(run, "The studio was ended; the run goes on when it starts again.", resumes_itself=True)
        except OSError as error:  # on a full disk the run trains on; the next studio finds it
            logging.getLogger(__name__).warning("%s could not be told to leave: %s", run.id, error)
    deadline = time.monotonic() + LEAVE_SECONDS
    while active() and time.monotonic() < deadline:
        time.sleep(0.1)


def advance_queue(home: Home, engine: EngineSupervisor, lock: WebLock, stop: threading.Event) -> None:
    """Start the next queued run whenever none is training, notice dead workers, write what a full disk has held up."""
    from core.training import queue
    from studio.chat.conversation_stores import DiskStore

    log, trouble, conversations = logging.getLogger(__name__), "", DiskStore(home)
    while not stop.wait(QUEUE_SECONDS):
        try:
            lock.say()
            conversations.write_held()
            queue.start_next(home, engine_available=engine.is_settled)
        except Exception as error:
            if trouble != (trouble := repr(error)):  # every second, as long as a disk is full
                log.exception("the queue of runs could not be advanced")

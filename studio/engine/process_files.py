"""Small questions about processes and their files: end one, lock a file, read a log's last line, is there room."""

from __future__ import annotations

import fcntl
import shutil
import signal
import time
from pathlib import Path
from typing import IO

import psutil

from core.common.home import Home
from core.common.process import Identity

STOP_SECONDS = 10.0
LEAST_FREE = 64 << 10  # bytes


def has_room(home: Home) -> bool:
    """Whether the disk has a little room left, for the few bytes by which processes find each other."""
    return shutil.disk_usage(home.processes).free >= LEAST_FREE


def end_process(identity: Identity, seconds: float = STOP_SECONDS) -> None:
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


def try_lock(file: IO[bytes]) -> bool:
    """Take the lock on an open file, until it and every copy of it in other processes are closed; False if taken."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_last_line(path: Path) -> str:
    """The last line of a log that says something, shortened; "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

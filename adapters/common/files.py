"""Files that a reader can trust: whole or not there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OWNED = re.compile(r"\.(?:.+~(?P<pid>\d+)~.*|deleted-.+-(?P<grave>\d+))")


def temporary_name(of: str, pid: int | None = None) -> str:
    """What a temporary file or folder is called, or begins with: hidden, and it says whose it is (see owner_of)."""
    return f".{of}~{os.getpid() if pid is None else pid}~"


def owner_of(name: str) -> int | None:
    """The pid of the process that made the temporary file or folder of this name; None when it is none."""
    found = _OWNED.fullmatch(name)
    return int(found["pid"] or found["grave"]) if found else None


def no_room(error: BaseException) -> bool:
    """Whether a write failed because the disk, or what this user or process may take of it, is full.

    safetensors and torch wrap the operating system's error in classes of their own and keep its text.
    """
    return (isinstance(error, OSError) and error.errno in _NO_ROOM) or "No space left on device" in str(error)


def expanded(given: str | Path) -> Path:
    """The path with ~ and ~name replaced. Raises UserError when nobody of that name has a home folder."""
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise UserError(f"There is no home folder for {given}.", "Write the folder's whole path.") from error


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace `path` by `data` so that a reader (or a crash) sees the old content or the new one, never a part.

    Raises OSError when the folder cannot be written or the disk is full; the old content is then still in place.
    """
    payload = data.encode() if isinstance(data, str) else data
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=temporary_name(path.name))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append one line and make it durable. A line that an earlier crash left torn is ended first, which spoils it only.

    Raises OSError when the disk is full; the file is then as it was.
    """
    descriptor = os.open(ensure_plain(path), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        payload = b"\n" * torn + line + b"\n"
        try:
            while payload:
                payload = payload[os.write(descriptor, payload) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable; without it a power cut may undo them."""
    _sync(folder)


def sync_files(folder: Path) -> None:
    """Make durable what is written in every file under `folder`, by whatever program."""
    for path in filter(Path.is_file, folder.rglob("*")):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Delete a folder so that it disappears in one step: rename it away first, then remove what is left of it."""
    grave = folder.with_name(f".deleted-{folder.name}-{os.getpid()}")
    folder.replace(grave)
    shutil.rmtree(grave, ignore_errors=True)

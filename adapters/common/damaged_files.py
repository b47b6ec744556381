"""Files that turn out damaged are set aside: renamed in their folder, with the reason, never deleted. The log and
`find_damaged` list them. Their readers then find no file, and go on as where there never was one.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from adapters.common.errors import UserError

LARGEST = 64 << 20  # bytes; none of the files that are read as a whole comes near
# What reading raises where the file itself is at fault, and not the moment (too many open files, no memory).
ITS_OWN_FAULT = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, errno.ENXIO, errno.EISDIR})
NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, UserError)
_MARK = re.compile(r"\.damaged-\d{8}-\d{6}(?:-\d+)?")
_REASON = ".reason"

log = logging.getLogger(__name__)
Value = TypeVar("Value")
_stuck: set[Path] = set()  # could not be renamed, which is in the log


@dataclass(frozen=True)
class DamagedFile:
    """One file that was set aside: where it lies now, its original name, and why."""

    path: Path
    original_name: str
    reason: str

    @property
    def summary(self) -> str:
        """For everyone who may know of the file, so without this machine's folders."""
        return f"{self.original_name} was damaged ({self.reason}) and is set aside as {self.path.name}"

    def __str__(self) -> str:
        return f"{self.summary} in {self.path.parent}."


def read(path: Path, parse: Callable[[bytes], Value]) -> Value | None:
    """What `parse` makes of a file. None where there is none, or a damaged one, which is then set aside.

    Damaged is what is no plain file, cannot be read, or makes `parse` raise one of NOT_UNDERSTOOD. Raises OSError
    where the fault is not the file's.
    """
    file = open_plain(path)
    if file is None:
        return None
    with file:
        seen = os.fstat(file.fileno())
        try:
            if seen.st_size > LARGEST:
                raise ValueError(f"it has {seen.st_size:,} bytes")
            return parse(file.read())
        except NOT_UNDERSTOOD as error:
            reason = describe_error(error)
        except OSError as error:
            reason = describe_own_fault(error)
    set_aside(path, reason, seen)
    return None


def open_plain(path: Path) -> BinaryIO | None:
    """A plain file, open for reading. None where there is none, or what was there had to be set aside."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            set_aside(path, "it is a link to nothing")
        return None
    except OSError as error:
        set_aside(path, describe_own_fault(error))
        return None
    seen = os.fstat(descriptor)
    if stat.S_ISREG(seen.st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    set_aside(path, _describe_kind(seen.st_mode), seen)
    return None


def describe_own_fault(error: OSError) -> str:
    """Why reading failed, in words. Raises the error anew where the file is not at fault."""
    if error.errno not in ITS_OWN_FAULT:
        raise error
    return error.strerror or "it cannot be read"


def ensure_plain(path: Path) -> Path:
    """`path`, to be opened for writing: what is there and is no plain file is set aside first."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return path
    if not stat.S_ISREG(mode) and not (stat.S_ISLNK(mode) and path.is_file()):
        set_aside(path, _describe_kind(mode))
    return path


def ensure_folder(path: Path) -> Path:
    """`path` as a folder, made where there is none; what is there and is none is set aside first. Raises OSError."""
    if os.path.lexists(path) and not path.is_dir():
        set_aside(path, "it is no folder")
    path.mkdir(exist_ok=True)
    return path


def set_aside(path: Path, reason: str, seen: os.stat_result | None = None) -> str:
    """Rename `path` out of the way, and say so in the log; returns what the log says.

    seen: as the damaged content was when it was read: a whole file that has taken its place meanwhile stays. A file
    that cannot be renamed stays too, and is logged once.
    """
    name = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    target, number = path.with_name(name), 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{name}-{number}")
    try:
        if seen is not None and not os.path.samestat(path.stat(), seen):
            return ""
        path.rename(target)
    except FileNotFoundError:
        return ""
    except OSError as error:
        message = f"{path} is damaged ({reason}) and cannot be set aside: {error.strerror}."
        if path not in _stuck:
            _stuck.add(path)
            log.error("%s", message)
        return message
    try:
        target.with_name(target.name + _REASON).write_text(reason, encoding="utf-8")
    except OSError:
        log.warning("the reason could not be written beside %s", target)
    message = str(DamagedFile(target, path.name, reason))
    log.warning("%s", message)
    return message


def find_damaged_versions(path: Path) -> list[DamagedFile]:
    """What was set aside of this one file, the oldest first."""
    try:
        near = sorted(candidate for candidate in path.parent.iterdir() if candidate.name.startswith(path.name))
    except OSError:
        return []
    found = [candidate for candidate in near if _MARK.fullmatch(candidate.name.removeprefix(path.name))]
    return [DamagedFile(damaged, path.name, _read_reason(damaged)) for damaged in found]


def find_damaged(root: Path, passed_over: frozenset[str] = frozenset()) -> Iterator[DamagedFile]:
    """What was set aside beneath `root`, in folders that are not named in `passed_over`."""
    for parent, folders, files in os.walk(root):
        names = [*files, *folders]
        folders[:] = sorted(name for name in folders if name not in passed_over and not _MARK.search(name))
        for name in sorted(names):
            if (mark := _MARK.search(name)) and mark.end() == len(name):
                yield DamagedFile(Path(parent, name), name[: mark.start()], _read_reason(Path(parent, name)))


def describe_error(error: Exception) -> str:
    """Why a content was not understood: the first fault, and where in the file it is. Never the content itself."""
    faults = getattr(error, "errors", None)  # pydantic's
    if callable(faults) and (found := faults(include_url=False, include_input=False, include_context=False)):
        where = ".".join(map(str, found[0]["loc"]))
        return f"{where}: {found[0]['msg']}" if where else str(found[0]["msg"])
    if isinstance(error, UserError):
        return error.message
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__


def _describe_kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link to no plain file", stat.S_IFIFO: "a pipe"}
    return f"it is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a file"


def _read_reason(path: Path) -> str:
    try:
        return path.with_name(path.name + _REASON).read_text(encoding="utf-8", errors="replace")[:500]
    except OSError:
        return "why is not known"

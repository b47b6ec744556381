"""The results of the last readings in this process: a file that several pages ask for is read once.

Kept in memory only. Another process, such as a run's worker, reads the file once for itself: that takes a small part of
the time that it needs to tokenise the rows, and a second copy of people's data on the disk would have to be found again
wherever they delete it.

Whoever reads a dataset gets lists of its own; the conversations in them are shared, and so never changed: what needs
other messages, such as a chat template's probe, copies them first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from core.data.dataset import Conversation, Problem

MAX_DATASETS = 4
# Of all their files together. As Python objects, conversations of short turns take about four times their file's bytes,
# and the web process, as well as a run's worker, holds them until it ends.
MAX_BYTES = 1 << 25


@dataclass(frozen=True)
class CheckedRows:
    """What one pass over a dataset's rows finds; the fields are those of CheckedDataset."""

    format: str
    evidence: str
    rows: int
    conversations: tuple[Conversation, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class RowsKey:
    """Everything that the result of a reading depends on.

    sha256: over the bytes of all files, in order. files: their names, whose endings say how they are read.
    """

    sha256: str
    files: tuple[str, ...]
    dataset_format: str | None
    columns: str | None


class RowsCache:
    """The results that were used last, within MAX_DATASETS and MAX_BYTES. Threads may share it."""

    def __init__(self) -> None:
        self._found: OrderedDict[RowsKey, tuple[CheckedRows, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: RowsKey) -> CheckedRows | None:
        with self._lock:
            if key not in self._found:
                return None
            self._found.move_to_end(key)
            return self._found[key][0]

    def add(self, key: RowsKey, rows: CheckedRows, size: int) -> None:
        """`size`: bytes of its files, at most MAX_BYTES."""
        with self._lock:
            self._found[key] = (rows, size)
            self._found.move_to_end(key)
            while len(self._found) > MAX_DATASETS or sum(size for _, size in self._found.values()) > MAX_BYTES:
                self._found.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._found.clear()


CACHE = RowsCache()


def read_once(key: Callable[[], RowsKey], size: int, read: Callable[[], CheckedRows]) -> tuple[CheckedRows, str]:
    """The rows as `read` finds them, or as it found them before, and the files' sha256.

    `key`, which reads all files, is asked before and after a reading: files that changed meanwhile are not kept. Files
    of more than MAX_BYTES, `size` in all, are never kept, so it is asked once.
    """
    if size > MAX_BYTES:
        return read(), key().sha256
    before = key()
    rows = CACHE.get(before)
    if rows is not None:
        return rows, before.sha256
    rows, after = read(), key()
    if after == before:
        CACHE.add(after, rows, size)
    return rows, after.sha256

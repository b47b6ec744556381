"""A data file's text: its encoding found, what is no text refused, and lines of bounded length."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from adapters.common.errors import UserError
from core.data.readers.archive import DataFile
from core.data.readers.encoding import Encoding, detect_encoding

CHUNK = 1 << 20
MAX_LINE_CHARACTERS = 1 << 25
# What a file of text never begins with, and what it then is, whatever its name says.
MAGIC_BYTES = (
    (b"\x1f\x8b", "gzipped", "Unpack it until it is text, or pack it once and call it .gz."),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "Call an archive .zip; export a spreadsheet as CSV."),
    (b"PAR1", "Parquet", "Call it .parquet."),
    (b"\xd0\xcf\x11\xe0", "an old office document", "Export it as CSV."),
    (b"SQLite format 3", "a database", "Export its table as CSV."),
    (b"%PDF", "a PDF", "Take its text out of it, and write that as JSON Lines."),
)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def encoding_of(file: DataFile) -> Encoding:
    status = file.path.stat()
    return _encoding_of(file, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)  # reader and notes ask for the same file; size and time make a changed file a new one
def _encoding_of(file: DataFile, size: int, modified: int) -> Encoding:
    with file.open() as data:
        start = data.read(CHUNK)
        for magic, what, remedy in MAGIC_BYTES:
            if start.startswith(magic):
                raise UserError(f"{file.name} is no {file.kind} file: what is in it is {what}.", remedy)
        return detect_encoding(itertools.chain([start], chunks_of(data)))


@contextmanager
def open_text(file: DataFile) -> Iterator[io.TextIOWrapper]:
    encoding = encoding_of(file)
    with file.open() as data:
        yield io.TextIOWrapper(data, encoding=encoding.name, errors=encoding.errors, newline="")


def lines_of(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines with their ends, a very long one in pieces of MAX_LINE_CHARACTERS, so that memory stays bounded."""
    return iter(lambda: text.readline(MAX_LINE_CHARACTERS), "")


def whole_lines(text: io.TextIOWrapper) -> Iterator[str | None]:
    """Lines with their ends; None for one that is longer than any row may be."""
    cut = False
    for piece in lines_of(text):
        goes_on = len(piece) == MAX_LINE_CHARACTERS and not piece.endswith(("\n", "\r"))
        if goes_on and not cut:
            yield None
        elif not cut:
            yield piece
        cut = goes_on

"""CSV and TSV to rows. A row that cannot be parsed is named by its first line, and reading goes on behind that line."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator

from adapters.common.errors import UserError
from core.data.dataset import ReaderOutput, RowError, RowWarning
from core.data.readers.archive import DataFile
from core.data.readers.text import MAX_LINE_CHARACTERS, open_text, whole_lines
from core.data.values import MAX_COLUMNS, columns_in

SEPARATORS = ",;\t|"
DECLARED = re.compile(rf"sep=([{SEPARATORS}])\s*", re.I)  # a first line that Excel reads and writes
MAX_REREADS = 8  # how often a file's length may be read again behind rows that cannot be parsed
MIN_SWALLOWED = 3  # lines that look like rows, within one cell, which are worth a warning
UNCLOSED = "its quote is not closed"
HOW = "Put cells with quotes or line breaks in double quotes, and double the quotes inside."


def read_csv(file: DataFile) -> Iterator[ReaderOutput]:
    """The first line names the columns; the separator is the one of , ; | and tab by which it has most of them."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    with open_text(file) as text:
        lines = LineBuffer(whole_lines(text), file.name)
        first = lines.first()
        if declared := DECLARED.fullmatch(first):
            lines.skip()
            first = lines.first()
        separator = declared[1] if declared else "\t" if file.kind == ".tsv" else separator_of(first)
        rows = csv.reader(lines, delimiter=separator, strict=True)
        try:
            table = CsvTable(file.name, next(rows, []), separator)
        except csv.Error as error:
            raise UserError(f"The header of {file.name} cannot be read: {explain_csv_error(error)}.", HOW) from error
        lines.done()
        while True:
            try:
                cells = next(rows, None)
                if cells is None:
                    return
                if cells:
                    yield from table.row(cells, lines)
                lines.done()
            except csv.Error as error:
                yield RowError(
                    f"The row that begins at line {lines.begin} cannot be read: {explain_csv_error(error)}. "
                    "What follows that line is read as rows of its own.",
                    HOW,
                )
                lines.done(keep=1)


class LineBuffer:
    """A file's lines for a csv.reader, those of the row that is being read at hand, so that they can be given back.

    begin: the number of that row's first line, from 1. Raises csv.Error for a row that is longer than any may be, and
    UserError where so many rows break that their lines would be read over and over.
    """

    def __init__(self, lines: Iterator[str | None], name: str) -> None:
        self._lines = lines
        self._name = name
        self._again: deque[str | None] = deque()
        self.taken: list[str | None] = []
        self.begin = 1
        self._length = self._read = self._repeated = 0

    @property
    def end(self) -> int:
        return self.begin + len(self.taken) - 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.popleft()
        else:
            line = next(self._lines)
            self._read += len(line or "")
        self.taken.append(line)
        self._length += len(line or "")
        if line is None:
            raise csv.Error(f"line {self.end} is longer than {MAX_LINE_CHARACTERS:,} characters")
        if self._length > MAX_LINE_CHARACTERS:
            raise csv.Error(f"it is longer than {MAX_LINE_CHARACTERS:,} characters, or {UNCLOSED}")
        return line

    def first(self) -> str:
        """The next line that is not blank, which is still to come; "" where there is none, or it is too long."""
        for line in self._lines:
            if line is None or line.strip():
                self._again.append(line)
                return line or ""
            self.begin += 1
        return ""

    def skip(self) -> None:
        """Go on behind the first line."""
        self._again.popleft()
        self.begin += 1

    def done(self, keep: int | None = None) -> None:
        """Go on behind the first `keep` lines that were taken (all of them for None)."""
        keep = len(self.taken) if keep is None else keep
        again = self.taken[keep:]
        self._again.extendleft(reversed(again))
        self._repeated += sum(len(line or "") for line in again)
        if self._repeated > MAX_REREADS * (self._read + MAX_LINE_CHARACTERS):
            raise UserError(f"The quotes in {self._name} are broken in too many rows (line {self.begin}).", HOW)
        self.begin += keep
        self.taken.clear()
        self._length = 0


class CsvTable:
    """What a header says of the rows below it. Raises UserError for a header that names no columns, or one twice."""

    def __init__(self, name: str, header: list[str], separator: str) -> None:
        self.header = [cell.strip() for cell in header]
        self._separator = separator
        self._unnamed = [index for index, column in enumerate(self.header) if not column]
        check_columns(name, [column for column in self.header if column])

    def row(self, cells: list[str], lines: LineBuffer) -> Iterator[ReaderOutput]:
        """The row of these cells, with what was noticed. Raises csv.Error where a quote has swallowed other rows."""
        swallowed = self.rows_within(lines.taken)
        if len(cells) != len(self.header):
            if swallowed:
                raise csv.Error(UNCLOSED)
            where = f"line {lines.begin}" if lines.begin == lines.end else f"lines {lines.begin} to {lines.end}"
            yield RowError(
                f"It has {len(cells)} cells ({where}), but the header has {len(self.header)}.",
                "Put cells that hold the separator in double quotes.",
            )
            return
        if swallowed >= MIN_SWALLOWED:
            yield RowWarning(
                f"Lines {lines.begin} to {lines.end} are one row, with a quoted cell that holds {swallowed} lines "
                "which look like rows of their own.",
                "If a quote is missing there, or one too many, mend it.",
            )
        if filled := [index for index in self._unnamed if cells[index].strip()]:
            yield RowWarning(
                f"Its cell {filled[0] + 1} stands under no name in the header: it is not read, here and in other rows.",
                "Give the column a name if it is needed.",
            )
            self._unnamed = []
        row = dict(zip(self.header, cells, strict=True))
        row.pop("", None)
        yield row

    def rows_within(self, lines: list[str | None]) -> int:
        """How many lines within a row of several lines there are, if all of them look like rows of their own.

        In a table of one column any line does; there only those that begin with the same word as the row count.
        """
        inner = lines[1:-1]
        separators = len(self.header) - 1
        begin = (lines[0] or "").lstrip('" ').split(maxsplit=1)[:1] if inner and not separators else []

        def alike(line: str | None) -> bool:
            if not line or '"' in line or (not separators and line.split(maxsplit=1)[:1] != begin):
                return False
            return line.count(self._separator) == separators or not separators

        return len(inner) if all(map(alike, inner)) else 0


def separator_of(header: str) -> str:
    def columns(separator: str) -> tuple[int, int]:
        try:
            found = next(csv.reader([header], delimiter=separator, strict=True), [])
        except csv.Error:  # as where a quote ends before what is no separator
            found = []
        return len(found) if len(found) > 1 else 0, header.count(separator)

    return max(SEPARATORS, key=columns)


def explain_csv_error(error: csv.Error) -> str:
    """A csv.Error in plain words."""
    text = str(error)
    if text == "unexpected end of data":
        return UNCLOSED
    if text.endswith("""expected after '"'"""):
        return "a quote within a quoted cell is not doubled, or an earlier one is not closed"
    return text


def check_columns(name: str, columns: list[str]) -> None:
    """Raises UserError for columns that cannot be told apart, are too many, or none."""
    if not columns:
        raise UserError(f"The header of {name} names no columns.", "Write the columns' names into the first line.")
    if len(columns) > MAX_COLUMNS:
        raise UserError(
            f"{name} has {len(columns):,} columns; up to {MAX_COLUMNS:,} are read.",
            "Keep those that are to be learnt, or write the rows below each other.",
        )
    if twice := sorted(column for column, count in Counter(columns).items() if count > 1):
        raise UserError(f"{name} has several columns called {columns_in(map(repr, twice))}.", "Rename them.")

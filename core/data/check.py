"""Rows to conversations, with every problem collected on the way."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from adapters.common.errors import UserError
from core.data.column_mapping import parse_columns, renamed
from core.data.dataset import Conversation, LeftOut, Message, Problem, Row, RowError, Tools
from core.data.formats import Format, detect, detect_row, format_named
from core.data.formats.base import NoText, check_turns, columns_in
from core.data.formats.chat import COLUMNS
from core.data.formats.columns import PLAIN_TEXT
from core.data.formats.embedded_chat import refuse_foreign, refuse_spoken, without_marks
from core.data.formats.parts import refuse_media
from core.data.formats.training_marks import mark_row
from core.data.formats.unread_keys import Seen, Told, holds_text
from core.data.warnings import Remarks, Telling

SAMPLE = 1000
SAMPLE_CHARACTERS = 1 << 26  # of the rows, as Python writes them


class Scan:
    """One pass over the rows of a source: iterate over it for the conversations, then read the counts and problems.

    Memory is bounded by the sample, a number for each row, and the problems and notes. The format is the one given, or
    the one that most rows of the sample have; a row of another format in the same file is read by its own.
    """

    def __init__(self, rows: Iterable[Row], dataset_format: str | None = None, columns: str | None = None) -> None:
        """columns: which columns stand for the known ones, as data.column_mapping writes it. Raises UserError where no
        row tells a format (UnknownColumns where its columns are the reason).
        """
        chosen = parse_columns(columns)
        rows = iter(rows)
        sample = list(beginning(rows))
        self.columns = columns_of(sample)
        if unknown := [column for column in chosen.values() if self.columns and column not in self.columns]:
            raise UnknownColumns(
                f"No row has a column {' or '.join(map(repr, unknown))}; its columns are: {columns_in(self.columns)}.",
                "Name one of these.",
                self.columns,
            )
        if chosen:
            sample, rows = [renamed(row, chosen) for row in sample], (renamed(row, chosen) for row in rows)
        self.given = format_named(dataset_format) if dataset_format else None
        self.format: Format = self.given or detect_or_explain(sample, self.columns)
        if self.format.asks and not self.given:
            raise UserError(
                self.format.asks,
                f"To train on the good answers alone, ask for the format {self.format.name!r} by its name.",
            )
        self.rows = 0
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        if chosen and (others := [column for column in self.columns if column not in chosen.values()]):
            self.notes.append(
                Problem(None, f"Only the columns that were named are read, not {columns_in(others)}.", "")
            )
        if self.format is PLAIN_TEXT and not self.given:
            self.notes.append(Problem(None, "No turns were found: each text is trained as a whole, not as a chat.", ""))
        self._remarks = Remarks()
        self._telling = Telling()
        self._by_format: Counter[str] = Counter()
        self._source = itertools.chain(sample, rows)

    def __iter__(self) -> Iterator[Conversation]:
        for row in self._source:
            self.rows += 1
            self.notes.extend(Problem(row.number, remark.what, remark.remedy) for remark in row.remarks)
            try:
                if isinstance(row.value, RowError):
                    raise row.value
                dataset_format = self._format_of(row)
                messages, remarks, tools = self._read(Seen(row.value), dataset_format)
            except LeftOut as reason:
                self.notes.append(Problem(row.number, str(reason), ""))
                continue
            except RowError as error:
                self.problems.append(Problem(row.number, error.what, error.remedy))
                continue
            conversation = Conversation(row.number, messages, tools)
            self.notes.extend(Problem(row.number, remark, "") for remark in remarks)
            self.notes.extend(Problem(row.number, *remark) for remark in self._remarks.about(conversation))
            yield conversation
        self.notes.extend(self._telling.notes())

    def _read(self, row: Seen, dataset_format: Format) -> tuple[list[Message], list[str], Tools | None]:
        """The row's turns, remarks on them, and its tools. Raises RowError or LeftOut."""
        told = Told()
        refuse_media(row, "It")
        mark_row(row)
        if dataset_format is PLAIN_TEXT and not self.given:
            refuse_foreign(row["text"] if isinstance(row.peek("text"), str) else "")
        messages = without_marks(dataset_format.convert(row, told), told)
        refuse_spoken(messages)
        tools = dataset_format.tools(row)
        told.columns.update(row.unread())
        try:
            messages, remarks = check_turns(messages)
        except NoText as error:
            raise error.unless([name for name in row.unread() if holds_text(row.peek(name))]) from error
        self._telling.add(told)
        return messages, remarks, tools

    def _format_of(self, row: Row) -> Format:
        assert not isinstance(row.value, RowError)
        if self.format.matches(row.value):
            found: Format | None = self.format
        else:
            found = None if self.given else detect_row(row.value)
            if found and found.own_files_only:
                found = None
            elif found and found.asks:
                raise RowError(found.asks, f"Put such rows into a file of their own; --format {found.name} reads it.")
        if found:
            self._by_format[found.name] += 1
        return found or self.format

    @property
    def evidence(self) -> str:
        """Complete only after the pass."""
        said = f"{self._by_format[self.format.name]} of {self.rows} rows have {self.format.signs}"
        others = [f"{count} are {name}" for name, count in self._by_format.items() if name != self.format.name]
        if self.given:
            said += " (format given)"
        return "; ".join([said, *others])


class UnknownColumns(UserError):
    """The rows' columns tell nothing; a person may say what they stand for. `columns` are their names."""

    def __init__(self, message: str, remedy: str, columns: list[str]) -> None:
        super().__init__(message, remedy)
        self.columns = columns


def beginning(rows: Iterator[Row]) -> Iterator[Row]:
    """The first SAMPLE rows, or fewer that hold SAMPLE_CHARACTERS."""
    characters = 0
    for row in itertools.islice(rows, SAMPLE):
        yield row
        characters += len(str(row.value))
        if characters > SAMPLE_CHARACTERS:
            return


def columns_of(sample: list[Row]) -> list[str]:
    """The names of all columns, in the order in which they first appear."""
    values = [row.value for row in sample if not isinstance(row.value, RowError)]
    return list(dict.fromkeys(str(column) for value in values for column in value))


def detect_or_explain(sample: list[Row], columns: list[str]) -> Format:
    """`columns`: the file's own, which a person may have renamed in the sample. Raises UserError."""
    values = [row.value for row in sample if not isinstance(row.value, RowError)]
    if not values:
        errors = [row.value for row in sample if isinstance(row.value, RowError)]
        if not errors:
            raise UserError("There are no rows in it.", "Give a dataset with at least one conversation.")
        raise UserError(f"No row can be read. The first: {errors[0].what}", errors[0].remedy)
    found = detect(values)
    if found is None:
        if column := next((each for row in values for each in COLUMNS if looks_like_turns(row.get(each))), None):
            raise UserError(
                f"The column {column} holds lists of turns as text that is no JSON.",
                "Write them with json.dumps; Python's own way of printing a list is not read.",
            )
        raise UnknownColumns(
            f"The rows have no format that is known here; their columns are: {columns_in(columns)}.",
            'Known are texts with "### Human:", "USER:", "[INST]", "<|im_start|>" or such turns, and the columns '
            "messages, conversations, instruction/output, prompt/completion, question/answer. Say which columns stand "
            "for them (--columns question=…,answer=…), or rename them.",
            columns,
        )
    return found


def looks_like_turns(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("[{")

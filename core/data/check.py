"""Rows to conversations, with every problem collected on the way."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from adapters.common.errors import UserError
from core.data.column_mapping import parse_columns, rename_columns
from core.data.dataset import Conversation, DatasetRow, Message, Problem, RowError, SkippedRow, Tools
from core.data.formats import Format, detect, detect_row, format_named
from core.data.formats.base import EmptyMessage, check_turns
from core.data.formats.chat import COLUMNS
from core.data.formats.columns import PLAIN_TEXT
from core.data.formats.embedded_chat import refuse_speaker_marks, refuse_unread_markup, strip_marks
from core.data.formats.parts import refuse_media
from core.data.formats.tracking import ConversionNotes, TrackedMapping, has_text
from core.data.formats.training_marks import mark_row, mark_turns
from core.data.values import columns_in
from core.data.warnings import ConversationWarnings, NotesSummary

SAMPLE_ROWS = 1000
SAMPLE_CHARACTERS = 1 << 26  # of the rows, as Python writes them


class DatasetChecker:
    """Checks the rows of a source in one pass: iterate over it for the conversations, then read counts and problems.

    Memory is bounded by the sample, a number for each row, and the problems and notes. The format is the given one, or
    the one that most rows of the sample have. A row of another format in the same file is read by its own format.
    """

    def __init__(
        self, rows: Iterable[DatasetRow], dataset_format: str | None = None, columns: str | None = None
    ) -> None:
        """columns: which columns stand for the known ones, as core.data.column_mapping writes it.

        Raises UserError where no row has a known format (UnknownColumns where the columns are the reason).
        """
        chosen = parse_columns(columns)
        rows = iter(rows)
        sample = list(take_sample(rows))
        self.columns = column_names(sample)
        if unknown := [column for column in chosen.values() if self.columns and column not in self.columns]:
            raise UnknownColumns(
                f"No row has a column {' or '.join(map(repr, unknown))}; its columns are: {columns_in(self.columns)}.",
                "Name one of these.",
                self.columns,
            )
        if chosen:
            sample, rows = (
                [rename_columns(row, chosen) for row in sample],
                (rename_columns(row, chosen) for row in rows),
            )
        self.chosen_format = format_named(dataset_format) if dataset_format else None
        self.format: Format = self.chosen_format or detect_format(sample, self.columns)
        if self.format.asks and not self.chosen_format:
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
        if self.format is PLAIN_TEXT and not self.chosen_format:
            self.notes.append(Problem(None, "No turns were found: each text is trained as a whole, not as a chat.", ""))
        self._warnings = ConversationWarnings()
        self._summary = NotesSummary()
        self._by_format: Counter[str] = Counter()
        self._source = itertools.chain(sample, rows)

    def __iter__(self) -> Iterator[Conversation]:
        for row in self._source:
            self.rows += 1
            self.notes.extend(Problem(row.number, warning.what, warning.remedy) for warning in row.warnings)
            try:
                if isinstance(row.value, RowError):
                    raise row.value
                dataset_format = self._format_of(row)
                messages, left_out, tools = self._convert(TrackedMapping(row.value), dataset_format)
            except SkippedRow as reason:
                self.notes.append(Problem(row.number, str(reason), ""))
                continue
            except RowError as error:
                self.problems.append(Problem(row.number, error.what, error.remedy))
                continue
            conversation = Conversation(row.number, messages, tools)
            self.notes.extend(Problem(row.number, sentence, "") for sentence in left_out)
            self.notes.extend(self._warnings.check(conversation))
            yield conversation
        self.notes.extend(self._summary.notes())

    def _convert(self, row: TrackedMapping, dataset_format: Format) -> tuple[list[Message], list[str], Tools | None]:
        """The row's messages, what was left out of them, and its tools. Raises RowError or SkippedRow."""
        notes = ConversionNotes()
        refuse_media(row, "It")
        mark_row(row)
        if dataset_format is PLAIN_TEXT and not self.chosen_format:
            refuse_unread_markup(row["text"] if isinstance(row.peek("text"), str) else "")
        messages = strip_marks(dataset_format.convert(row, notes), notes)
        refuse_speaker_marks(messages)
        mark_turns(row, messages, notes)
        tools = dataset_format.tools(row)
        notes.columns.update(row.unread())
        try:
            messages, left_out = check_turns(messages)
        except EmptyMessage as error:
            raise error.with_unread_columns([name for name in row.unread() if has_text(row.peek(name))]) from error
        self._summary.add(notes)
        return messages, left_out, tools

    def _format_of(self, row: DatasetRow) -> Format:
        assert not isinstance(row.value, RowError)
        if self.format.matches(row.value):
            found: Format | None = self.format
        else:
            found = None if self.chosen_format else detect_row(row.value)
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
        evidence = f"{self._by_format[self.format.name]} of {self.rows} rows have {self.format.signs}"
        others = [f"{count} are {name}" for name, count in self._by_format.items() if name != self.format.name]
        if self.chosen_format:
            evidence += " (format given)"
        return "; ".join([evidence, *others])


class UnknownColumns(UserError):
    """No format has these columns; a person may say what they stand for. `columns` are their names."""

    def __init__(self, message: str, remedy: str, columns: list[str]) -> None:
        super().__init__(message, remedy)
        self.columns = columns


def take_sample(rows: Iterator[DatasetRow]) -> Iterator[DatasetRow]:
    """The first SAMPLE rows, or fewer that hold SAMPLE_CHARACTERS."""
    characters = 0
    for row in itertools.islice(rows, SAMPLE_ROWS):
        yield row
        characters += len(str(row.value))
        if characters > SAMPLE_CHARACTERS:
            return


def column_names(sample: list[DatasetRow]) -> list[str]:
    """The names of all columns, in the order in which they first appear."""
    values = [row.value for row in sample if not isinstance(row.value, RowError)]
    return list(dict.fromkeys(str(column) for value in values for column in value))


def detect_format(sample: list[DatasetRow], columns: list[str]) -> Format:
    """`columns`: the file's own, which a person may have renamed in the sample. Raises UserError."""
    values = [row.value for row in sample if not isinstance(row.value, RowError)]
    if not values:
        errors = [row.value for row in sample if isinstance(row.value, RowError)]
        if not errors:
            raise UserError("There are no rows in it.", "Give a dataset with at least one conversation.")
        raise UserError(f"No row can be read. The first: {errors[0].what}", errors[0].remedy)
    found = detect(values)
    if found is None:
        if column := next((name for row in values for name in COLUMNS if looks_like_turns(row.get(name))), None):
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

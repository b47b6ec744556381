"""What is worth a look in rows that can be trained on: repetitions, and text that a tokenizer may read as a command."""

from __future__ import annotations

import re
from collections import Counter

from core.data.dataset import Conversation, Problem
from core.data.formats.tracking import ConversionNotes
from core.data.split import normalised_turns
from core.data.values import shorten

# Turn marks of the common templates and formats. Inside an answer they end it early, or teach the model to write them.
CONTROL = re.compile(
    r"</?s>|<[be]os>|<\|[A-Za-z_]+\|?>|<[a-z]+\|>|<｜[^｜<>]+｜>|<(?:start|end)_of_turn>|<end_of_utterance>|\[gMASK\]|"
    r"\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS)\]|<</?SYS>>|###[ \t]*(?:Human|User|Assistant|System|Instruction|Response):"
)
SHOWN, MAX_COUNTED = 30, 1000  # notes that are shown once for all rows; a file may have new keys in each row
INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class ConversationWarnings:
    """Remembers a number for each conversation, so that memory grows with the rows but not with their length."""

    def __init__(self) -> None:
        self._first_row: dict[int, int] = {}

    def check(self, conversation: Conversation) -> list[Problem]:
        """A note for each thing to look at."""
        row = conversation.row
        warnings = []
        first = self._first_row.setdefault(hash(normalised_turns(conversation)), row)
        if first != row:
            warnings.append(
                Problem(row, f"It says the same as row {first}.", "Remove one, unless it shall count twice.")
            )
        for index, message in enumerate(conversation.messages, start=1):
            if found := CONTROL.search(message["content"]):
                what = f'Message {index} holds "{found[0]}", a mark that may be read as a command.'
                warnings.append(Problem(row, what, "Is it meant?"))
            if found := INVISIBLE.search(message["content"]):
                what = f"Message {index} holds the control character U+{ord(found[0]):04X}, which nobody sees."
                warnings.append(Problem(row, what, "It would be learnt: remove it, unless it is meant."))
        return warnings


class NotesSummary:
    """Counts the rows that each note is about, so that it is shown once."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()

    def add(self, notes: ConversionNotes) -> None:
        texts = {f"The column `{shorten(name)}` is not read" for name in notes.columns}
        texts |= {f"The key `{shorten(name)}` of turns is not read" for name in notes.keys}
        texts |= notes.texts
        self._rows.update(text for text in sorted(texts) if text in self._rows or len(self._rows) < MAX_COUNTED)

    def notes(self) -> list[Problem]:
        """The commonest SHOWN, and how many others there are."""
        notes = [
            Problem(None, f"{what} ({rows:,} {'row' if rows == 1 else 'rows'}).", "")
            for what, rows in self._rows.most_common(SHOWN)
        ]
        if (more := len(self._rows) - SHOWN) > 0:
            several = f"{more:,} more" if len(self._rows) < MAX_COUNTED else "Many more"
            notes.append(Problem(None, f"{several} columns or keys are not read.", ""))
        return notes

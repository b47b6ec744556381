"""What is worth a look in rows that can be trained on: repetitions, and text that a tokenizer may read as a command."""

from __future__ import annotations

import re
from collections import Counter

from core.data.dataset import Conversation, Problem
from core.data.formats.base import shorten
from core.data.formats.unread_keys import Told
from core.data.split import whole

# Turn marks of the common templates and formats. Inside an answer they end it early, or teach the model to write them.
CONTROL = re.compile(
    r"</?s>|<[be]os>|<\|[A-Za-z_]+\|?>|<[a-z]+\|>|<｜[^｜<>]+｜>|<(?:start|end)_of_turn>|<end_of_utterance>|\[gMASK\]|"
    r"\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS)\]|<</?SYS>>|###[ \t]*(?:Human|User|Assistant|System|Instruction|Response):"
)
SHOWN, KEPT = 30, 1000  # of what is told once for all rows; a file may have new keys in each of them
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Remarks:
    """Remembers a number per conversation seen, so that memory grows with the rows but not with their length."""

    def __init__(self) -> None:
        self._first_row: dict[int, int] = {}

    def about(self, conversation: Conversation) -> list[tuple[str, str]]:
        """(what, remedy) for each thing to look at."""
        remarks = []
        first = self._first_row.setdefault(hash(whole(conversation)), conversation.row)
        if first != conversation.row:
            remarks.append((f"It says the same as row {first}.", "Remove one, unless it shall count twice."))
        for index, message in enumerate(conversation.messages, start=1):
            found = CONTROL.search(message["content"])
            if found:
                remarks.append(
                    (f'Message {index} holds "{found[0]}", a mark that may be read as a command.', "Is it meant?")
                )
            if found := UNSEEN.search(message["content"]):
                remarks.append(
                    (
                        f"Message {index} holds the control character U+{ord(found[0]):04X}, which nobody sees.",
                        "It would be learnt: remove it, unless it is meant.",
                    )
                )
        return remarks


class Telling:
    """Counts in how many rows each thing was told, so that it stands once in the notes."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()

    def add(self, told: Told) -> None:
        said = {f"The column `{shorten(name)}` is not read" for name in told.columns}
        said |= {f"The key `{shorten(name)}` of turns is not read" for name in told.keys}
        self._rows.update(each for each in said | told.remarks if each in self._rows or len(self._rows) < KEPT)

    def notes(self) -> list[Problem]:
        """The commonest SHOWN, and how many others there are."""
        notes = [
            Problem(None, f"{what} ({rows:,} {'row' if rows == 1 else 'rows'}).", "")
            for what, rows in self._rows.most_common(SHOWN)
        ]
        if (more := len(self._rows) - SHOWN) > 0:
            several = f"{more:,} more" if len(self._rows) < KEPT else "Many more"
            notes.append(Problem(None, f"{several} columns or keys are not read.", ""))
        return notes

"""What there is to know about a dataset before a run, gathered in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from core.data.check import DatasetChecker
from core.data.dataset import Problem, count_turns
from core.data.languages import LanguageCounts
from core.data.load import Source
from core.data.tokenize.statistics import TokenCounter, TokenStats

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Report:
    """`problems` are rows that give no conversation, or one that the base's template refuses; `notes` are rows that
    were used, with a remark."""

    format: str
    evidence: str
    rows: int
    conversations: int
    turns: int
    problems: list[Problem]
    notes: list[Problem]
    tokens: TokenStats
    lengths: Sequence[int] = ()  # tokens of each training row
    languages: str = ""  # as core.data.languages guesses them

    def to_dict(self) -> dict[str, Any]:
        """The shape that scripts rely on; notes are for people and not part of it."""
        tokens = asdict(self.tokens)
        tokens["mean"] = round(tokens["mean"], 1)
        tokens["trained_share"] = round(tokens["trained_share"], 4)
        return {
            "format": self.format,
            "evidence": self.evidence,
            "rows": self.rows,
            "conversations": self.conversations,
            "turns": self.turns,
            "problems": [asdict(problem) for problem in self.problems],
            "tokens": tokens,
        }


def build_report(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    dataset_format: str | None = None,
    columns: str | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Report:
    """Read the source from end to end without keeping its conversations. Raises UserError if it cannot be read.

    progress: told the number of rows so far, after every conversation.
    """
    scan = DatasetChecker(source.rows(columns), dataset_format, columns)
    counter = TokenCounter(tokenizer, max_length)
    conversations = turns = 0
    languages = LanguageCounts()
    for conversation in scan:
        conversations += 1
        turns += count_turns(conversation.messages)
        counter.add(conversation)
        languages.add(conversation)
        progress(scan.rows)
    return Report(
        format=scan.format.name,
        evidence=scan.evidence,
        rows=scan.rows,
        conversations=conversations,
        turns=turns,
        problems=sorted(scan.problems + counter.problems, key=lambda problem: problem.row or 0),
        notes=[Problem(None, sentence, "") for sentence in counter.encoding_notes.sentences()]
        + source.notes
        + sorted(scan.notes + counter.notes, key=lambda note: note.row or 0),
        tokens=counter.stats(),
        lengths=counter.lengths,
        languages=str(languages),
    )

"""Which answer was better: votes as preference records, one JSON line each, in the home folder's votes/.

A vote is appended whole and made durable before it counts; a torn last line, left by a crash, is skipped and ended by
the next vote.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from adapters.common.damaged_files import ensure_folder
from adapters.common.errors import UserError
from adapters.common.files import append_line
from core.common.home import Home
from core.common.json_records import Count, read_lines
from studio.engine.client import Message

Verdict = Literal["better", "tie", "all_bad"]
BETTER: Verdict = "better"
TIE: Verdict = "tie"
ALL_BAD: Verdict = "all_bad"
_write_lock = threading.Lock()  # one web process per home folder, so this is enough


@dataclass(frozen=True)
class Candidate:
    """One column's last answer: who gave it (as the engine reported it), and to what."""

    model: str
    prompt: tuple[Message, ...]
    answer: str


@dataclass(frozen=True)
class Ballot:
    """What can be voted on: the answers as they stood side by side."""

    candidates: tuple[Candidate, ...]
    blind: bool
    settings: dict[str, Any]

    def with_candidate(self, index: int, candidate: Candidate) -> Ballot:
        candidates = list(self.candidates)
        candidates[index] = candidate
        return replace(self, candidates=tuple(candidates))


@dataclass(frozen=True)
class Vote:
    """verdict: BETTER (`winner` says which candidate), TIE or ALL_BAD. voter: the name by which they were known."""

    created: str
    voter: str
    verdict: Verdict
    winner: Count | None
    ballot: Ballot

    def __post_init__(self) -> None:
        """Raises ValueError for a winner that is none of the candidates."""
        if self.winner is not None and self.winner >= len(self.ballot.candidates):
            raise ValueError("the winner is none of the candidates")

    @classmethod
    def cast(cls, ballot: Ballot, verdict: Verdict, winner: int | None, voter: str) -> Vote:
        """Raises UserError when there is nothing to choose between."""
        if len({candidate.model for candidate in ballot.candidates}) < 2:
            raise UserError(
                "All columns answered with the same model, so there is nothing to compare.", "Choose another adapter."
            )
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), voter, verdict, winner, ballot)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def pairs(self) -> Iterable[tuple[Candidate, Candidate]]:
        """(better, worse) for every pair that the vote decides: the winner against each other one."""
        if self.verdict != BETTER or self.winner is None:
            return
        best = self.ballot.candidates[self.winner]
        for index, other in enumerate(self.ballot.candidates):
            if index != self.winner and other.model != best.model:
                yield best, other


VOTE_RECORD = TypeAdapter(Vote)


def path(home: Home) -> Path:
    return home.root / "votes" / "votes.jsonl"


def append(home: Home, vote: Vote) -> int:
    """Add a vote; returns how many there are now. Raises UserError when it cannot be written."""
    line = json.dumps(vote.to_dict(), ensure_ascii=False).encode()
    file = path(home)
    try:
        with _write_lock:
            ensure_folder(file.parent)
            append_line(file, line)
    except OSError as error:
        raise UserError(
            f"The vote could not be kept in {file}: {error.strerror}.", "Free some disk space, then vote again."
        ) from error
    return len(read(home))


def read(home: Home) -> list[Vote]:
    """All votes, oldest first. Lines that are no vote, as a crash leaves them torn, are passed over."""
    return read_lines(path(home), VOTE_RECORD)


def preferences(votes: Sequence[Vote]) -> tuple[list[dict[str, Any]], int]:
    """The decided pairs as TRL's conversational preference rows, and how many pairs could not be made into one.

    A row has `prompt`, `chosen` and `rejected`, each a list of messages
    (https://huggingface.co/docs/trl/dataset_formats#preference). Two answers to different prompts, as in the second
    turn of two conversations that went apart, say nothing about each other, and neither do two equal answers.
    """
    rows, left_out = [], 0
    for vote in votes:
        for better, worse in vote.pairs():
            if better.prompt != worse.prompt or better.answer == worse.answer:
                left_out += 1
                continue
            rows.append(
                {
                    "prompt": list(better.prompt),
                    "chosen": [{"role": "assistant", "content": better.answer}],
                    "rejected": [{"role": "assistant", "content": worse.answer}],
                }
            )
    return rows, left_out

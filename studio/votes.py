"""Which answer was better: votes as preference records, one JSON line each, in the home folder's votes/.

A vote is appended whole and made durable before it counts; a torn last line, left by a crash, is skipped and ended by
the next vote.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.home import Home
from studio.engine_client import Message

BETTER, TIE, ALL_BAD = "better", "tie", "all_bad"
_writing = threading.Lock()  # one web process per home folder, so this is enough


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
        others = list(self.candidates)
        others[index] = candidate
        return replace(self, candidates=tuple(others))


@dataclass(frozen=True)
class Vote:
    """verdict: BETTER (`winner` says which candidate), TIE or ALL_BAD. voter: the name by which they were known."""

    created: str
    voter: str
    verdict: str
    winner: int | None
    ballot: Ballot

    @classmethod
    def cast(cls, ballot: Ballot, verdict: str, winner: int | None, voter: str) -> Vote:
        """Raises UserError when there is nothing to choose between."""
        if len({each.model for each in ballot.candidates}) < 2:
            raise UserError(
                "All columns answered with the same model, so there is nothing to compare.", "Choose another adapter."
            )
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), voter, verdict, winner, ballot)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Vote:
        ballot = record["ballot"]
        candidates = tuple(Candidate(c["model"], tuple(c["prompt"]), c["answer"]) for c in ballot["candidates"])
        shown = Ballot(candidates, bool(ballot["blind"]), dict(ballot["settings"]))
        return cls(record["created"], record["voter"], record["verdict"], record["winner"], shown)

    def pairs(self) -> Iterable[tuple[Candidate, Candidate]]:
        """(better, worse) for every pair that the vote decides: the winner against each other one."""
        if self.verdict != BETTER or self.winner is None:
            return
        best = self.ballot.candidates[self.winner]
        for index, other in enumerate(self.ballot.candidates):
            if index != self.winner and other.model != best.model:
                yield best, other


def path(home: Home) -> Path:
    return home.root / "votes" / "votes.jsonl"


def append(home: Home, vote: Vote) -> int:
    """Keep a vote; returns how many there are now. Raises UserError when it cannot be written."""
    line = json.dumps(vote.to_dict(), ensure_ascii=False) + "\n"
    file = path(home)
    try:
        with _writing:
            file.parent.mkdir(exist_ok=True)
            torn = file.exists() and file.stat().st_size > 0 and last_byte(file) != b"\n"
            descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                payload = (("\n" if torn else "") + line).encode()
                while payload:
                    payload = payload[os.write(descriptor, payload) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise UserError(f"The vote could not be kept in {file}: {error.strerror}.", "Free some disk space.") from error
    return len(read(home))


def last_byte(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1)


def read(home: Home) -> list[Vote]:
    """All votes, oldest first. Lines that a crash left torn are skipped."""
    try:
        lines = path(home).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    votes = []
    for line in lines:
        try:
            votes.append(Vote.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            continue
    return votes


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

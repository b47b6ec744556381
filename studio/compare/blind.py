"""A blind round: the chosen models in an order that nobody is told before the vote."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

LETTERS = "ABCD"


@dataclass(frozen=True)
class Round:
    """models: who answers in each column. Kept on the server only, until somebody has voted."""

    models: tuple[str, ...]
    voted: bool = False

    def label(self, column: int) -> str:
        return f"Answer {LETTERS[column]}"

    def after_vote(self) -> Round:
        return replace(self, voted=True)


def round_for(
    blindly: bool, now: Round | None, chosen: Sequence[str], shuffle: random.Random | None = None
) -> Round | None:
    """The round that the next message belongs to: the one that goes on, or a new one; None when nothing is hidden.

    A round goes on until its vote, or until other models are chosen.
    """
    if not blindly or len(chosen) < 2:
        return None
    if now is not None and not now.voted and sorted(now.models) == sorted(chosen):
        return now
    models = list(chosen)
    (shuffle or random.SystemRandom()).shuffle(models)
    return Round(tuple(models))

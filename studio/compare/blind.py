"""A blind round: the chosen models answer in an order that nobody is told before the vote."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

LETTERS = "ABCD"


@dataclass(frozen=True)
class BlindRound:
    """models: who answers in each column. Only the server has them until somebody has voted."""

    models: tuple[str, ...]
    voted: bool = False

    def alias(self, column: int) -> str:
        return f"Answer {LETTERS[column]}"

    def after_vote(self) -> BlindRound:
        return replace(self, voted=True)


def next_round(
    is_blind: bool, current: BlindRound | None, chosen: Sequence[str], shuffle: random.Random | None = None
) -> BlindRound | None:
    """The round that the next message belongs to: the current one, or a new one. None where nothing is hidden.

    A round lasts until its vote, or until other models are chosen.
    """
    if not is_blind or len(chosen) < 2:
        return None
    if current is not None and not current.voted and sorted(current.models) == sorted(chosen):
        return current
    models = list(chosen)
    (shuffle or random.SystemRandom()).shuffle(models)
    return BlindRound(tuple(models))

"""From votes to a table: wins, losses and ties per model, the rate with its interval, and a Bradley-Terry rating."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from studio.compare.votes import ALL_BAD, TIE, Vote

ELO_POINTS = 400 / math.log(10)  # points per unit of log-strength, so that 400 points are odds of 10 to 1
Z95 = 1.959964  # the normal distribution's 97.5 % quantile
MAX_STEPS = 100
TOLERANCE = 1e-10


@dataclass(frozen=True)
class ModelScore:
    """One model's results over pairs of answers.

    rate: of the decided pairs. rating and its standard error: Elo points, or None.
    """

    model: str
    wins: int
    losses: int
    ties: int
    all_bad: int  # votes in which all answers were bad
    rate: float | None
    interval: tuple[float, float] | None
    rating: float | None
    rating_error: float | None


def wilson(wins: int, decided: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a rate (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209-212); decided > 0.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z √(p(1-p)/n) it is of use for few votes.
    """
    p, n = wins / decided, decided
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def bradley_terry(beaten: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Log-strengths (mean zero) and their standard errors, by maximum likelihood; None where there is no maximum.

    beaten[i, j], shape (n, n): how often i was preferred to j, a tie counting half each way. The model is
    P(i before j) = 1 / (1 + exp(θj - θi)) (R. A. Bradley, M. E. Terry, Biometrika 39, 1952, 324-345). It has a finite
    maximum exactly when no split of the models leaves one side without a single win over the other (L. R. Ford, Am.
    Math. Monthly 64, 1957, 28-33), so when the graph of wins is strongly connected. Newton's method; the errors are
    the roots of the diagonal of the information matrix's pseudo-inverse, which is the covariance under Σθ = 0.
    """
    count = len(beaten)
    if count < 2 or not strongly_connected(beaten > 0):
        return None
    games = beaten + beaten.T
    theta = np.zeros(count)
    for _ in range(MAX_STEPS):
        expected = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
        slope = (beaten - games * expected).sum(1)
        step = np.linalg.pinv(information(games, expected)) @ slope
        theta = theta + step / max(1.0, float(np.abs(step).max()))  # never more than 1 at once
        theta -= theta.mean()
        if np.abs(step).max() < TOLERANCE:
            break
    expected = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    return theta, np.sqrt(np.diag(np.linalg.pinv(information(games, expected))))


def information(games: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The Fisher information of the log-strengths: a graph's Laplacian with weights n_ij p_ij (1 - p_ij)."""
    weights = games * expected * (1 - expected)
    return np.asarray(np.diag(weights.sum(1)) - weights)


def strongly_connected(edges: np.ndarray) -> bool:
    """Whether every node reaches every other one."""
    reach = edges | np.eye(len(edges), dtype=bool)
    for middle in range(len(edges)):
        reach |= np.outer(reach[:, middle], reach[middle])
    return bool(reach.all())


def score_models(votes: Sequence[Vote]) -> list[ModelScore]:
    """All models that were voted on, the best first. A vote among more than two answers counts as its pairs."""
    models = sorted({candidate.model for vote in votes for candidate in vote.ballot.candidates})
    index = {model: i for i, model in enumerate(models)}
    wins = np.zeros((len(models), len(models)), dtype=int)
    ties = np.zeros_like(wins)
    all_bad = dict.fromkeys(models, 0)
    for vote in votes:
        present = {candidate.model for candidate in vote.ballot.candidates}
        for better, worse in vote.pairs():
            wins[index[better.model], index[worse.model]] += 1
        if vote.verdict == TIE:
            for first, second in combinations(present, 2):
                ties[index[first], index[second]] += 1
                ties[index[second], index[first]] += 1
        if vote.verdict == ALL_BAD:
            for model in present:
                all_bad[model] += 1
    fitted = bradley_terry(wins + ties / 2)
    scores = []
    for model, i in index.items():
        won, lost = int(wins[i].sum()), int(wins[:, i].sum())
        decided = won + lost
        scores.append(
            ModelScore(
                model,
                won,
                lost,
                int(ties[i].sum()),
                all_bad[model],
                won / decided if decided else None,
                wilson(won, decided) if decided else None,
                float(fitted[0][i]) * ELO_POINTS if fitted else None,
                float(fitted[1][i]) * ELO_POINTS if fitted else None,
            )
        )
    return sorted(scores, key=lambda score: (-(score.rating or 0.0), -(score.rate or 0.0), score.model))

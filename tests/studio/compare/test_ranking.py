"""The results table against cases that are known from elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from studio.compare.ranking import ELO_POINTS, bradley_terry, score_models, strongly_connected, wilson
from studio.compare.votes import ALL_BAD, BETTER, TIE, Ballot, Candidate, Verdict, Vote


def vote(first: str, second: str, verdict: Verdict, winner: int | None = None) -> Vote:
    candidates = tuple(Candidate(model, ({"role": "user", "content": "?"},), model) for model in (first, second))
    return Vote.cast(Ballot(candidates, True, {}), verdict, winner, "ada")


@pytest.mark.parametrize(
    ("wins", "decided", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(wins: int, decided: int, low: float, high: float) -> None:
    assert wilson(wins, decided) == pytest.approx((low, high), abs=5e-5)


def test_two_models_have_the_log_odds_and_its_error() -> None:
    """With two models the difference is log(wins/losses), with variance 1/wins + 1/losses; each has half of it."""
    fitted = bradley_terry(np.array([[0.0, 30.0], [10.0, 0.0]]))
    assert fitted is not None
    theta, error = fitted
    assert theta[0] - theta[1] == pytest.approx(math.log(3))
    assert 2 * error[0] == pytest.approx(math.sqrt(1 / 30 + 1 / 10))


def test_known_strengths_are_found_again() -> None:
    """Fractional wins exactly as the model expects them have their maximum at the strengths they come from."""
    strengths = np.array([0.9, 0.1, -0.3, -0.7])
    expected = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    beaten = 50 * expected * (1 - np.eye(4))
    fitted = bradley_terry(beaten)
    assert fitted is not None
    assert fitted[0] == pytest.approx(strengths, abs=1e-8)


def test_a_model_that_never_lost_has_no_rating() -> None:
    assert bradley_terry(np.array([[0.0, 3.0], [0.0, 0.0]])) is None
    assert not strongly_connected(np.array([[False, True, False], [True, False, False], [False, True, False]]))
    assert strongly_connected(np.array([[False, True, False], [False, False, True], [True, False, False]]))


def test_the_table_counts_wins_losses_ties_and_bad_ones() -> None:
    cast = [vote("base", "pirate", BETTER, 1)] * 3 + [vote("pirate", "base", BETTER, 1), vote("base", "pirate", TIE)]
    first, second = score_models([*cast, vote("base", "radio", ALL_BAD)])[:2]
    pirate, base = (first, second) if first.model == "pirate" else (second, first)
    assert (pirate.wins, pirate.losses, pirate.ties, pirate.all_bad, pirate.rate) == (3, 1, 1, 0, 0.75)
    assert (base.wins, base.losses, base.ties, base.all_bad, base.rate) == (1, 3, 1, 1, 0.25)
    assert pirate.interval == pytest.approx(wilson(3, 4))
    assert pirate.rating is None, "radio was in no decided vote, so nothing ties it to the others"


def test_ratings_are_elo_points_and_the_best_comes_first() -> None:
    cast = [vote("base", "pirate", BETTER, 1)] * 10 + [vote("base", "pirate", BETTER, 0)]
    best, worst = score_models(cast)
    assert (best.model, worst.model) == ("pirate", "base")
    assert best.rating is not None
    assert worst.rating is not None
    assert best.rating - worst.rating == pytest.approx(400)
    assert best.rating_error == pytest.approx(ELO_POINTS * math.sqrt(1 + 1 / 10) / 2)


def test_a_vote_among_three_counts_as_its_pairs() -> None:
    prompt = ({"role": "user", "content": "?"},)
    ballot = Ballot(tuple(Candidate(model, prompt, model) for model in "abc"), False, {})
    table = {score.model: score for score in score_models([Vote.cast(ballot, BETTER, 2, "ada")])}
    assert (table["c"].wins, table["a"].losses, table["b"].losses, table["a"].wins) == (2, 1, 1, 0)


def test_no_votes_no_table() -> None:
    assert score_models([]) == []

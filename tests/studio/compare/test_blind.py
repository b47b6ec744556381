"""A blind round lasts until its vote, and its order tells nothing."""

from __future__ import annotations

import random

from studio.compare.blind import next_round


def test_a_blind_round_goes_on_until_its_vote() -> None:
    chosen = ["base", "pirate", "radio"]
    first = next_round(True, None, chosen, random.Random(1))
    assert first is not None
    assert sorted(first.models) == chosen
    assert next_round(True, first, chosen) is first
    again = next_round(True, first.after_vote(), chosen, random.Random(2))
    assert again is not first
    assert next_round(True, first, ["base", "pirate"]) != first
    assert next_round(False, first, chosen) is None
    assert next_round(True, None, ["base"]) is None


def test_blind_orders_are_all_equally_likely() -> None:
    rounds = [next_round(True, None, ["base", "pirate"], random.Random(seed)) for seed in range(400)]
    first = sum(blind_round is not None and blind_round.models[0] == "base" for blind_round in rounds)
    assert 150 < first < 250

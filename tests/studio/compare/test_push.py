"""The votes as a dataset on the Hub: pairs that `datasets` loads, and nobody's name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.compare import push as votes_push
from studio.compare import votes
from studio.compare.votes import BETTER, TIE, Ballot, Candidate, Vote
from tests.hub_server.fixtures import Hub

PROMPT = ({"role": "user", "content": "Capital of Cuba?"},)
BALLOT = Ballot((Candidate("base", PROMPT, "Havana."), Candidate("pirate", PROMPT, "Arr, Havana!")), True, {})


def test_votes_become_a_dataset_without_voters(hub: Hub, home: Home) -> None:
    hub.login("hf_ada")
    for verdict, winner in ((BETTER, 1), (TIE, None)):
        votes.append(home, Vote.cast(BALLOT, verdict, winner, "carol-the-voter"))
    result = votes_push.push_votes(home, "ada/votes")
    assert result.url == f"{hub.url}/datasets/ada/votes"
    assert hub.repo("ada/votes", "dataset").private
    files = {path: hub.read("ada/votes", path, "dataset") for path in result.files}
    assert not any(b"carol" in content for content in files.values())
    (pair,) = map(json.loads, files["preferences.jsonl"].splitlines())
    assert pair["chosen"] == [{"role": "assistant", "content": "Arr, Havana!"}]
    assert len(files["votes.jsonl"].splitlines()) == 2
    assert "2 votes" in files["README.md"].decode()
    from datasets import load_dataset

    loaded = load_dataset("ada/votes", split="train", token="hf_ada")
    assert loaded[0]["rejected"][0]["content"] == "Havana."


def test_without_a_preference_nothing_is_pushed(hub: Hub, home: Home) -> None:
    hub.login("hf_ada")
    votes.append(home, Vote.cast(replace(BALLOT, blind=False), TIE, None, "ada"))
    before = len(hub.requests)
    with pytest.raises(UserError, match="no vote yet"):
        votes_push.push_votes(home, "ada/votes")
    assert len(hub.requests) == before

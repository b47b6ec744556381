"""What the votes say, as the page exports it."""

from __future__ import annotations

import json

import pytest

from adapters.common.errors import UserError
from studio.compare import votes
from studio.compare.handlers import export_csv, export_preferences, show_scores
from studio.compare.votes import BETTER, TIE, Ballot, Candidate, Vote
from studio.context import Studio

PROMPT = ({"role": "user", "content": "Capital of Cuba?"},)
BALLOT = Ballot((Candidate("base", PROMPT, "Havana."), Candidate("pirate", PROMPT, "Arr!")), True, {})


def test_without_votes_there_is_a_hint_and_no_file(quiet_studio: Studio) -> None:
    assert "No votes yet." in show_scores(quiet_studio)
    with pytest.raises(UserError, match="Vote first"):
        export_preferences(quiet_studio)
    with pytest.raises(UserError, match="Ask all"):
        export_csv(None)


def test_the_file_has_a_row_for_each_decided_pair(quiet_studio: Studio) -> None:
    for verdict, winner in ((BETTER, 1), (BETTER, 1), (BETTER, 0), (TIE, None)):
        votes.append(quiet_studio.home, Vote.cast(BALLOT, verdict, winner, "ada"))
    name, text = json.loads(export_preferences(quiet_studio))
    rows = [json.loads(line) for line in text.splitlines()]
    assert (name, len(rows)) == ("preferences.jsonl", 3)
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "Arr!"}]
    votes.path(quiet_studio.home).unlink()

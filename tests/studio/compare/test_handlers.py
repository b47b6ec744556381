"""What the votes say, as the page shows and exports it."""

from __future__ import annotations

import json

import pytest

from adapters.common.errors import UserError
from studio.compare import votes
from studio.compare.handlers import export_csv, export_preferences, show_scores
from studio.compare.ranking import score_models
from studio.compare.view import render_scores
from studio.compare.votes import BETTER, TIE, Ballot, Candidate, Vote
from studio.context import Studio

PROMPT = ({"role": "user", "content": "Capital of Cuba?"},)
BALLOT = Ballot((Candidate("<i>base</i>", PROMPT, "Havana."), Candidate("pirate", PROMPT, "Arr!")), True, {})


def test_without_votes_there_is_a_hint_and_no_file(quiet_studio: Studio) -> None:
    assert "No votes yet." in show_scores(quiet_studio)
    with pytest.raises(UserError, match="Vote first"):
        export_preferences(quiet_studio)
    with pytest.raises(UserError, match="Ask all"):
        export_csv(None)


def test_the_table_has_rates_and_ratings_where_there_are_some(quiet_studio: Studio) -> None:
    only = [Vote.cast(BALLOT, BETTER, 1, "ada")]
    assert "100% (21% to 100%)" in render_scores(score_models(only))
    assert "±" not in render_scores(score_models(only)).split("<p")[0], "one win connects nothing"
    both = [*only, *only, Vote.cast(BALLOT, BETTER, 0, "ada"), Vote.cast(BALLOT, TIE, None, "ada")]
    shown = render_scores(score_models(both))
    assert shown.split("<p")[0].count("±") == 2
    assert "<i>base" not in shown
    for vote in both:
        votes.append(quiet_studio.home, vote)
    name, text = json.loads(export_preferences(quiet_studio))
    rows = [json.loads(line) for line in text.splitlines()]
    assert (name, len(rows)) == ("preferences.jsonl", 3)
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "Arr!"}]
    votes.path(quiet_studio.home).unlink()

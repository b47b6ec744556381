"""What the votes say, as the page shows and exports it."""

from __future__ import annotations

import json

import gradio as gr
import pytest

from studio.compare import votes
from studio.compare.page import NO_VOTES, votes_view
from studio.compare.ranking import standings
from studio.compare.votes import BETTER, TIE, Ballot, Candidate, Vote
from studio.context import Studio
from studio.page import build_page
from tests.studio.conftest import handler

PROMPT = ({"role": "user", "content": "Capital of Cuba?"},)
BALLOT = Ballot((Candidate("<i>base</i>", PROMPT, "Havana."), Candidate("pirate", PROMPT, "Arr!")), True, {})


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio)


def test_without_votes_there_is_a_hint_and_no_file(page: gr.Blocks) -> None:
    assert handler(page, "compare.page.count")() == NO_VOTES
    with pytest.raises(gr.Error, match="Vote first"):
        handler(page, "compare.page.preferences")()
    with pytest.raises(gr.Error, match="Ask all"):
        handler(page, "compare.page.csv_file")(None)


def test_the_table_has_rates_and_ratings_where_there_are_some(page: gr.Blocks, quiet_studio: Studio) -> None:
    only = [Vote.cast(BALLOT, BETTER, 1, "ada")]
    assert "100% (21% to 100%)" in votes_view(standings(only))
    assert "±" not in votes_view(standings(only)).split("<p")[0], "one win connects nothing"
    both = [*only, *only, Vote.cast(BALLOT, BETTER, 0, "ada"), Vote.cast(BALLOT, TIE, None, "ada")]
    shown = votes_view(standings(both))
    assert shown.split("<p")[0].count("±") == 2
    assert "<i>base" not in shown
    for each in both:
        votes.append(quiet_studio.home, each)
    name, text = json.loads(handler(page, "compare.page.preferences")())
    rows = [json.loads(line) for line in text.splitlines()]
    assert (name, len(rows)) == ("preferences.jsonl", 3)
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "Arr!"}]
    votes.path(quiet_studio.home).unlink()

"""What the votes say, and the answers to a list of prompts, as the page shows them."""

from __future__ import annotations

from studio.answers.streams import StreamedAnswer
from studio.compare.prompt_lists import PromptListResults
from studio.compare.ranking import score_models
from studio.compare.view import render_answers, render_scores
from studio.compare.votes import BETTER, TIE, Ballot, Candidate, Vote

PROMPT = ({"role": "user", "content": "Capital of Cuba?"},)
BALLOT = Ballot((Candidate("<i>base</i>", PROMPT, "Havana."), Candidate("pirate", PROMPT, "Arr!")), True, {})


def test_the_table_has_rates_and_ratings_where_there_are_some() -> None:
    only = [Vote.cast(BALLOT, BETTER, 1, "ada")]
    assert "100% (21% to 100%)" in render_scores(score_models(only))
    assert "±" not in render_scores(score_models(only)).split("<p")[0], "one win connects nothing"
    both = [*only, *only, Vote.cast(BALLOT, BETTER, 0, "ada"), Vote.cast(BALLOT, TIE, None, "ada")]
    shown = render_scores(score_models(both))
    assert shown.split("<p")[0].count("±") == 2
    assert "<i>base" not in shown


def test_what_is_shown_is_escaped_and_says_how_far_it_is() -> None:
    answered = StreamedAnswer(text="<b>y</b>", done=True)
    shown = render_answers(PromptListResults(("<b>x</b>",), ("<i>a</i>", "b"), ((answered, None),)))
    assert "<b>" not in shown and "<i>" not in shown
    assert "1 of 2 answers." in shown
    assert "<td>…</td>" in shown, "the other one is still to come"
    failed = render_answers(PromptListResults(("x",), ("a",), ((StreamedAnswer(error="Gone.", done=True),),)))
    assert "1 failed" in failed and "Gone." in failed

"""What a vote records and reveals, and who may vote on what."""

from __future__ import annotations

import gradio as gr
import pytest

from studio.answers.ask import ColumnView, GenerationSettings, Question
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.compare import votes
from studio.compare.blind import BlindRound
from studio.compare.votes import BETTER, Ballot, Candidate
from studio.compare.voting import VotingRow, build, cast_vote
from studio.context import Studio
from tests.studio.conftest import request_of

PROMPT = ({"role": "user", "content": "Capital of Cuba?"},)
BALLOT = Ballot((Candidate("pirate", PROMPT, "Arr!"), Candidate("guanaco-builtin", PROMPT, "Havana.")), True, {})
SETTINGS = GenerationSettings("Be brief.", 0.5, 0.9, 64, None)
VISITOR = User(Role.VISITOR, "visitor", "1.2.3.4", sees_runs=False, only_published=True)


@pytest.fixture
def voting() -> VotingRow:
    with gr.Blocks():
        return build([gr.Dropdown(["base"]) for _ in range(4)], [gr.HTML() for _ in range(4)])


def view(text: str, error: str = "") -> ColumnView:
    history = [{"role": "user", "content": "Capital of Cuba?"}, {"role": "assistant", "content": text}]
    return ColumnView(history, "", StreamedAnswer(text, "pirate", error=error, done=True))


def test_a_vote_on_a_blind_round_reveals_who_answered(quiet_studio: Studio, voting: VotingRow) -> None:
    blind_round = BlindRound(("pirate", "base"))
    updates = cast_vote(quiet_studio, voting, BETTER, 1, request_of(LOCAL_OWNER), BALLOT, blind_round)
    assert [updates[voting.adapters[i]].value for i in range(2)] == ["pirate", "base"]
    assert "<b>guanaco-builtin</b>" in updates[voting.badges[1]]
    assert updates[voting.round] == blind_round.after_vote()
    assert updates[voting.ballot] is None
    (vote,) = votes.read(quiet_studio.home)
    assert (vote.verdict, vote.winner, vote.voter) == (BETTER, 1, LOCAL_OWNER.name)
    votes.path(quiet_studio.home).unlink()


def test_without_a_ballot_nothing_is_recorded(quiet_studio: Studio, voting: VotingRow) -> None:
    updates = cast_vote(quiet_studio, voting, BETTER, 0, request_of(LOCAL_OWNER), None, None)
    assert list(updates) == [voting.row]
    assert votes.read(quiet_studio.home) == []


def test_nobody_votes_on_what_failed_and_no_visitor_votes(voting: VotingRow) -> None:
    question = Question([{"role": "user", "content": "Capital of Cuba?"}], "pirate")
    questions, views = {0: question, 1: question}, {0: view("Arr!"), 1: view("Havana.")}
    opened = voting.opened(LOCAL_OWNER, questions, views, None, SETTINGS)
    ballot = opened[voting.ballot]
    assert [candidate.answer for candidate in ballot.candidates] == ["Arr!", "Havana."]
    assert ballot.candidates[0].prompt == ({"role": "system", "content": "Be brief."}, *PROMPT)
    assert ballot.settings == {"temperature": 0.5, "top_p": 0.9, "max_tokens": 64, "seed": None}
    assert opened[voting.better[1]].visible and not opened[voting.better[2]].visible
    assert voting.opened(VISITOR, questions, views, None, SETTINGS) == {}
    assert voting.opened(LOCAL_OWNER, questions, views | {1: view("Hav", "Gone.")}, None, SETTINGS) == {}

"""Which answer is better? The row of buttons beneath answers side by side, and what a vote reveals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from studio.answers.ask import ColumnView, GenerationSettings, Question
from studio.answers.badge import badge
from studio.answers.history import to_messages
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import Role, User, user_of
from studio.auth.permissions import requires
from studio.compare import votes
from studio.compare.blind import LETTERS, BlindRound
from studio.compare.votes import ALL_BAD, BETTER, TIE, Ballot, Candidate, Verdict, Vote
from studio.context import Studio
from studio.html.templating import render
from studio.ui.events import bind


@dataclass(frozen=True)
class VotingRow:
    """The row beneath the columns. `adapters` and `badges` are the columns' own: a vote on a blind round fills them."""

    adapters: list[gr.Dropdown]
    badges: list[gr.HTML]
    round: gr.State  # BlindRound | None
    ballot: gr.State  # Ballot | None
    row: gr.Row
    better: list[gr.Button]  # one per column
    tie: gr.Button
    all_bad: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What a handler that answers may change."""
        return [self.round, self.ballot, self.row, *self.better]

    def closed(self) -> dict[Any, Any]:
        return {self.ballot: None, self.row: gr.Row(visible=False)}

    def opened(
        self,
        user: User,
        questions: dict[int, Question],
        views: dict[int, ColumnView],
        blind_round: BlindRound | None,
        settings: GenerationSettings,
    ) -> dict[Any, Any]:
        """Let `user` vote on answers that all columns gave, if they may. Nobody votes where an answer failed."""
        if user.role < Role.USER or any(not view.answer.text or view.answer.error for view in views.values()):
            return {}
        candidates = tuple(candidate_of(questions[i], views[i], settings) for i in sorted(views))
        sampling = {name: value for name, value in asdict(settings).items() if name != "system"}
        return {
            self.ballot: Ballot(candidates, blind_round is not None, sampling),
            self.row: gr.Row(visible=True),
            **{
                button: gr.Button(f"{LETTERS[i]} is better" if blind_round else f"Column {i + 1}", visible=i in views)
                for i, button in enumerate(self.better)
            },
        }


def candidate_of(question: Question, view: ColumnView, settings: GenerationSettings) -> Candidate:
    prompt = to_messages(question.history, settings.system)
    if question.continues_answer:
        prompt = prompt[:-1]
    answer = to_messages(view.history[-1:], None)
    return Candidate(view.answer.model, tuple(prompt), answer[0]["content"] if answer else "")


def build(adapters: list[gr.Dropdown], badges: list[gr.HTML]) -> VotingRow:
    blind_round, ballot = gr.State(), gr.State()
    with gr.Row(visible=False, elem_id="voting") as row:
        gr.HTML(render("compare/voting.html"), padding=False)
        better = [
            gr.Button(f"Column {i + 1}", size="sm", scale=0, min_width=110, elem_id=f"better-{i}")
            for i in range(len(adapters))
        ]
        tie = gr.Button("Tie", size="sm", scale=0, min_width=70, elem_id="tie")
        all_bad = gr.Button("All bad", size="sm", scale=0, min_width=80, elem_id="all-bad")
    return VotingRow(adapters, badges, blind_round, ballot, row, better, tie, all_bad)


def wire(studio: Studio, voting: VotingRow) -> list[Any]:
    """Returns the events of votes."""
    verdicts: list[tuple[gr.Button, Verdict, int | None]] = [
        *((button, BETTER, i) for i, button in enumerate(voting.better)),
        (voting.tie, TIE, None),
        (voting.all_bad, ALL_BAD, None),
    ]
    outputs = [voting.ballot, voting.round, voting.row, *voting.adapters, *voting.badges]
    return [
        button.click(
            bind(cast_vote, studio, voting, verdict, winner),
            [voting.ballot, voting.round],
            outputs,
            api_visibility="private",
            show_progress="hidden",
        )
        for button, verdict, winner in verdicts
    ]


@requires(Role.USER, counted=True)
def cast_vote(
    studio: Studio,
    voting: VotingRow,
    verdict: Verdict,
    winner: int | None,
    request: gr.Request,
    ballot: Ballot | None,
    blind_round: BlindRound | None,
) -> dict[Any, Any]:
    """Record a vote. After one on a blind round, the columns show which models answered."""
    if ballot is None:
        return {voting.row: gr.Row(visible=False)}
    vote = Vote.cast(ballot, verdict, winner, user_of(request).name)
    count = votes.append(studio.home, vote)
    gr.Info(f"{result_of(vote)} {count} {'vote' if count == 1 else 'votes'} so far: see Votes below.")
    if blind_round is None:
        return voting.closed()
    models = {voting.adapters[i]: gr.Dropdown(value=model, visible=True) for i, model in enumerate(blind_round.models)}
    badges = {voting.badges[i]: badge_of(candidate) for i, candidate in enumerate(ballot.candidates)}
    return {**voting.closed(), voting.round: blind_round.after_vote(), **models, **badges}


def result_of(vote: Vote) -> str:
    if vote.verdict == BETTER and vote.winner is not None:
        return f"Vote kept: {vote.ballot.candidates[vote.winner].model} was better."
    return "Vote kept: a tie." if vote.verdict == TIE else "Vote kept: all were bad."


def badge_of(candidate: Candidate) -> str:
    return badge(StreamedAnswer(text=candidate.answer, model=candidate.model, done=True))

"""Which answer is better? The row of buttons under side-by-side answers, and the blind rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from studio.answers.ask import ColumnView, GenerationSettings, Question
from studio.answers.badge import badge
from studio.answers.history import to_messages
from studio.answers.streams import StreamedAnswer
from studio.auth.identity import Role, User, user_of
from studio.chat.columns import COLUMNS, Column
from studio.compare import votes
from studio.compare.blind import LETTERS, Round
from studio.compare.votes import ALL_BAD, BETTER, TIE, Ballot, Candidate, Verdict, Vote
from studio.context import Studio
from studio.engine.client import BASE
from studio.ui.events import told

QUESTION = '<p class="note">Which answer is better?</p>'


@dataclass(frozen=True)
class Poll:
    round: gr.State  # blind.Round | None
    ballot: gr.State  # votes.Ballot | None
    row: gr.Row
    better: list[gr.Button]
    voted: list[Any]  # the events of votes, for what wants to follow them

    @property
    def all(self) -> list[Any]:
        """What a handler that answers may change."""
        return [self.round, self.ballot, self.row, *self.better]

    def closed(self) -> dict[Any, Any]:
        return {self.ballot: None, self.row: gr.Row(visible=False)}

    def opened(
        self,
        person: User,
        asked: dict[int, Question],
        shown: dict[int, ColumnView],
        now: Round | None,
        settings: GenerationSettings,
    ) -> dict[Any, Any]:
        """Let `person` vote on answers that all columns gave, if they may; a failed answer is nothing to vote on."""
        if person.role < Role.USER or any(not each.answer.text or each.answer.error for each in shown.values()):
            return {}
        candidates = tuple(candidate(asked[i], shown[i], settings) for i in sorted(shown))
        sampling = {name: value for name, value in asdict(settings).items() if name != "system"}
        return {
            self.ballot: Ballot(candidates, now is not None, sampling),
            self.row: gr.Row(visible=True),
            **{
                button: gr.Button(f"{LETTERS[i]} is better" if now else f"Column {i + 1}", visible=i in shown)
                for i, button in enumerate(self.better)
            },
        }


def candidate(asked: Question, shown: ColumnView, settings: GenerationSettings) -> Candidate:
    prompt = to_messages(asked.history, settings.system)
    if asked.continues_answer:
        prompt = prompt[:-1]
    answer = to_messages(shown.history[-1:], None)
    return Candidate(shown.answer.model, tuple(prompt), answer[0]["content"] if answer else "")


def build(studio: Studio, cells: Sequence[Column]) -> Poll:
    """Stands under the columns. What a vote reveals goes into the columns' adapters and badges."""
    round_state: gr.State = gr.State()
    ballot: gr.State = gr.State()
    with gr.Row(visible=False, elem_id="voting") as row:
        gr.HTML(QUESTION, padding=False)
        better = [
            gr.Button(f"Column {i + 1}", size="sm", scale=0, min_width=110, elem_id=f"better-{i}")
            for i in range(COLUMNS)
        ]
        tie_button = gr.Button("Tie", size="sm", scale=0, min_width=70, elem_id="tie")
        bad_button = gr.Button("All bad", size="sm", scale=0, min_width=80, elem_id="all-bad")
    adapters, badges = [c.adapter for c in cells], [c.badge for c in cells]

    def cast(verdict: Verdict, winner: int | None) -> Callable[..., dict[Any, Any]]:
        def vote(request: gr.Request, on: Ballot | None, now: Round | None) -> dict[Any, Any]:
            if on is None:
                return {row: gr.Row(visible=False)}
            chosen = Vote.cast(on, verdict, winner, user_of(request).name)
            count = votes.append(studio.home, chosen)
            gr.Info(f"{told_result(chosen)} {count} {'vote' if count == 1 else 'votes'} so far: see Votes below.")
            done = {ballot: None, row: gr.Row(visible=False)}
            if now is None:
                return done
            shown = {adapters[i]: gr.Dropdown(value=model, visible=True) for i, model in enumerate(now.models)}
            names = {badges[i]: named(each) for i, each in enumerate(on.candidates)}
            return {**done, round_state: now.after_vote(), **shown, **names}

        return vote

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    inputs, outputs = [ballot, round_state], [ballot, round_state, row, *adapters, *badges]
    verdicts: list[tuple[gr.Button, Verdict, int | None]] = [(button, BETTER, i) for i, button in enumerate(better)]
    verdicts += [(tie_button, TIE, None), (bad_button, ALL_BAD, None)]
    voted = [
        button.click(told(cast(verdict, winner)), inputs, outputs, **private) for button, verdict, winner in verdicts
    ]
    return Poll(round_state, ballot, row, better, voted)


def told_result(vote: Vote) -> str:
    if vote.verdict == BETTER and vote.winner is not None:
        return f"Vote kept: {vote.ballot.candidates[vote.winner].model} was better."
    return "Vote kept: a tie." if vote.verdict == TIE else "Vote kept: all were bad."


def named(each: Candidate) -> str:
    return badge(StreamedAnswer(text=each.answer, model=each.model, done=True), BASE)

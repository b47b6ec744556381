"""What the votes say, and the answers to a list of prompts, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from studio.compare.prompt_lists import PromptListResults
from studio.compare.ranking import ModelScore
from studio.html.fragments import render_table
from studio.html.templating import render

SCORE_HEAD = ("Model", "Wins", "Losses", "Ties", "All bad", "Rate", "Rating")


def render_scores(scores: Sequence[ModelScore]) -> Markup:
    """A table with a row for each model; a hint where nobody has voted yet."""
    rows = [
        (score.model, score.wins, score.losses, score.ties, score.all_bad, rate_text(score), rating_text(score))
        for score in scores
    ]
    return render("compare/scores.html", table=render_table(SCORE_HEAD, rows) if rows else None)


def rate_text(score: ModelScore) -> str:
    if score.rate is None or score.interval is None:
        return "–"
    return f"{score.rate:.0%} ({score.interval[0]:.0%} to {score.interval[1]:.0%})"


def rating_text(score: ModelScore) -> str:
    if score.rating is None or score.rating_error is None:
        return "–"
    return f"{score.rating:+.0f} ± {score.rating_error:.0f}"


def render_answers(results: PromptListResults) -> Markup:
    """A row for each prompt, a column for each model; “…” where the answer is still to come."""
    rows = [
        (prompt, *("…" if answer is None else answer.error or answer.text for answer in row))
        for prompt, row in zip(results.prompts, results.answers, strict=True)
    ]
    return render(
        "compare/answers.html",
        done=results.done,
        total=results.total,
        failed=results.failed,
        table=render_table(("Prompt", *results.models), rows),
    )

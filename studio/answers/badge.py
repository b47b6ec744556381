"""The badge beneath a column: which model answered, and how fast."""

from __future__ import annotations

from markupsafe import Markup

from studio.answers.streams import StreamedAnswer
from studio.engine.client import BASE
from studio.html.templating import render

TEMPLATE = "answers/badge.html"


def badge(answer: StreamedAnswer | None, model: str = BASE, note: str = "") -> Markup:
    """The badge of `answer`; an empty one where there is none.

    model: what was asked, shown until the engine has reported which model answers.
    note: shown with an answer that is complete.
    """
    if answer is None:
        return render(TEMPLATE, error="", model="", facts=(), waiting=False)
    if answer.error:
        return render(TEMPLATE, error=answer.error, model="", facts=(), waiting=False)
    facts = []
    if first := answer.timings.get("time_to_first_token"):
        facts.append(f"first token {first * 1000:.0f} ms")
    if rate := answer.timings.get("tokens_per_second"):
        facts.append(f"{rate:.0f} tokens/s")
    if tokens := answer.usage.get("completion_tokens"):
        facts.append(f"{tokens} tokens")
    if answer.is_cut_off:
        facts.append("cut at the length limit")
    waiting = not answer.done and not answer.text
    if waiting:
        facts.append("…")
    if note and answer.done:
        facts.append(note)
    return render(TEMPLATE, error="", model=answer.model or model, facts=facts, waiting=waiting)

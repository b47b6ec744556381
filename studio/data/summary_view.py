"""What was read of a dataset, what is wrong with it, and how it will be divided, as the page shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from core.data.languages import LanguageCounts
from core.data.split import normalised_turns, split, subsample
from studio.html.fragments import render_table
from studio.html.templating import render

if TYPE_CHECKING:
    from adapters.common.errors import UserError
    from core.data import CheckedDataset, Conversation, Problem

ADDRESS = re.compile(r"(https?://[^\s<>\"']+[^\s<>\"'.,;:)])")


def render_summary(dataset: CheckedDataset, most: int = 20) -> Markup:
    """What was read, where from, and every problem with its remedy (the first `most`; the rest is counted)."""
    facts = {
        "Format": f"{dataset.format} ({dataset.evidence})",
        "Rows": dataset.rows,
        "Conversations": len(dataset.conversations),
        "Turns": dataset.turns,
        "Problems": len(dataset.problems),
        "Languages (a guess)": languages(dataset.conversations),
        "Source": source_of(dataset),
        "Licence": dataset.license or "not stated",
        "SHA-256": f"{dataset.sha256[:12]}…",
    }
    return render(
        "data/summary.html",
        facts={name: value for name, value in facts.items() if value != ""},
        dataset=dataset,
        problems=render_problems(dataset.problems, "What is wrong", most),
        kinds=kinds(dataset.notes),
        notes=render_problems(dataset.notes, "Remark", most),
    )


def render_problems(problems: Sequence[Problem], heading: str, most: int) -> Markup:
    rows = [(problem.row or "–", problem.what, problem.remedy) for problem in problems[:most]]
    table = render_table(("Row", heading, "What to do"), rows)
    return render("data/problems.html", table=table, hidden=len(problems) - most)


def source_of(dataset: CheckedDataset) -> str:
    if dataset.source == "hub":
        return f"{dataset.name} on the Hub, revision {(dataset.revision or '')[:10]}"
    return "bundled" if dataset.source == "bundled" else f"the file {dataset.name}"


def kinds(notes: Iterable[Problem], most: int = 4) -> str:
    """Remarks that differ in numbers and quotations only, counted together."""
    alike = Counter(re.sub(r'"[^"]*"', "…", re.sub(r"\d+", "N", note.what)).rstrip(".") for note in notes)
    counted = [f"{count} × {what}" for what, count in alike.most_common(most)]
    return "; ".join([*counted, *(["…"] if len(alike) > most else [])])


def languages(conversations: Sequence[Conversation], most: int = 500) -> str:
    """Of `most` conversations, evenly taken from the whole dataset."""
    return str(LanguageCounts(conversations[:: max(1, len(conversations) // most)]))


def render_split(dataset: CheckedDataset, max_samples: int | None, eval_fraction: float, seed: int) -> Markup:
    """How many conversations are trained on and how many are held out. Raises UserError for a wrong fraction."""
    used = subsample(dataset.conversations, max_samples, seed)
    train, held_out = split(used, eval_fraction, seed)
    return render(
        "data/split.html",
        trained=len(train),
        held_out=len(held_out),
        drawn_from=len(dataset.conversations) if len(used) < len(dataset.conversations) else None,
        repeated=len(used) - len({normalised_turns(conversation) for conversation in used}),
    )


def render_unreadable(error: UserError, hint: str = "") -> Markup:
    """Why nothing could be read, in the place of the summary; addresses in the remedy can be followed."""
    # Every second part is an address.
    return render("data/unreadable.html", message=error.message, remedy=ADDRESS.split(error.remedy), hint=hint)

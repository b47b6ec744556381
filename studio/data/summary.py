"""What was read of a dataset, what is wrong with it, and how it will be divided, as the page shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from core.data.languages import LanguageCounts
from core.data.split import normalised_turns, split, subsample
from studio.ui.fragments import render_table

if TYPE_CHECKING:
    from adapters.common.errors import UserError
    from core.data import CheckedDataset, Conversation, Problem

ADDRESS = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:)]")


def dataset_summary(dataset: CheckedDataset, most: int = 20) -> str:
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
    shown = "".join(f"<span><b>{name}</b> {escape(str(value))}</span>" for name, value in facts.items() if value != "")
    text = f'<div class="facts">{shown}</div>'
    if dataset.problems:
        text += (
            f"<p><b>{len(dataset.problems)} of {dataset.rows} rows cannot be used.</b> Training stops at them: correct "
            "the file and upload it again, or choose on the left to skip them. The list of problems has them all.</p>"
        )
        text += listing(dataset.problems, "What is wrong", most)
    if dataset.notes:
        text += (
            f'<details style="margin:.6rem 0"><summary>'
            f"{len(dataset.notes)} remarks on rows that are used: {escape(kinds(dataset.notes))}"
            f"</summary>{listing(dataset.notes, 'Remark', most)}</details>"
        )
    return text


def listing(problems: Sequence[Problem], heading: str, most: int) -> str:
    rows = [(each.row or "–", each.what, each.remedy) for each in problems[:most]]
    more = f"<p>… and {len(problems) - most} more.</p>" if len(problems) > most else ""
    return f"{render_table(('Row', heading, 'What to do'), rows)}{more}"


def source_of(dataset: CheckedDataset) -> str:
    if dataset.source == "hub":
        return f"{dataset.name} on the Hub, revision {(dataset.revision or '')[:10]}"
    return "bundled" if dataset.source == "bundled" else f"the file {dataset.name}"


def kinds(notes: Iterable[Problem], most: int = 4) -> str:
    """Remarks that differ in numbers and quotations only, counted together."""
    alike = Counter(re.sub(r'"[^"]*"', "…", re.sub(r"\d+", "N", each.what)).rstrip(".") for each in notes)
    said = [f"{count} × {what}" for what, count in alike.most_common(most)]
    return "; ".join([*said, *(["…"] if len(alike) > most else [])])


def languages(conversations: Sequence[Conversation], most: int = 500) -> str:
    """Of `most` conversations, evenly taken from the whole dataset."""
    return str(LanguageCounts(conversations[:: max(1, len(conversations) // most)]))


def division(dataset: CheckedDataset, max_samples: int | None, eval_fraction: float, seed: int) -> str:
    """How many conversations are trained on and how many are held out. Raises UserError for a wrong fraction."""
    used = subsample(dataset.conversations, max_samples, seed)
    train, held_out = split(used, eval_fraction, seed)
    drawn = f" (drawn from {len(dataset.conversations):,})" if len(used) < len(dataset.conversations) else ""
    repeated = len(used) - len({normalised_turns(each) for each in used})
    said = f"<b>{len(train):,}</b> to train on, <b>{len(held_out):,}</b> held out to measure eval loss{drawn}."
    if repeated:
        said += f" Repetitions: {repeated:,}, which stay on one side."
    return f'<p class="said">{said}</p>'


def refusal(error: UserError, hint: str = "") -> str:
    """Why nothing could be read, in the place of the summary; addresses in it can be followed."""
    linked = ADDRESS.sub(
        lambda found: f'<a href="{found[0]}" target="_blank" rel="noreferrer">{found[0]}</a>', escape(error.remedy)
    )
    return f'<div class="empty"><p class="error">{escape(error.message)}</p><p>{linked}</p><p>{escape(hint)}</p></div>'

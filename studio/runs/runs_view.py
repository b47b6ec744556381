"""All runs as the page shows them: a table to sort and filter, several side by side, the trash. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

from core.training.state import RunState
from core.training.trash import Trashed
from studio.runs.run_cache import RunSnapshot
from studio.runs.run_view import NO_RUN, dataset_of, moment
from studio.ui.chart import COLOURS, Line, line_chart, smoothed
from studio.ui.format import number, size

MOST_COMPARED = COLOURS  # as many as there are colours that one can tell apart
COLUMNS: tuple[tuple[str, str], ...] = (
    ("name", "Run"),
    ("state", "State"),
    ("created", "Created"),
    ("step", "Step"),
    ("loss", "Loss"),
    ("eval_loss", "Eval loss"),
    ("dataset", "Dataset"),
    ("rank", "lora_r"),
    ("rate", "learning_rate"),
    ("adapter", "Adapter"),
)


@dataclass(frozen=True)
class RunsTableState:
    """How one browser looks at the runs: the column that they are sorted by, and which ones are compared."""

    column: str = "created"
    falling: bool = True
    picked: tuple[str, ...] = ()

    def sorted_by(self, column: str) -> RunsTableState:
        """The other way round where it is sorted so already."""
        if column not in {name for name, _ in COLUMNS}:
            return self
        return replace(self, column=column, falling=not self.falling if column == self.column else column == "created")

    def picking(self, run_id: str) -> RunsTableState:
        """With one run more, or one less, to compare; the one picked first makes room."""
        if run_id in self.picked:
            return replace(self, picked=tuple(each for each in self.picked if each != run_id))
        return replace(self, picked=(*self.picked, run_id)[-MOST_COMPARED:])


def runs_table(
    runs: Sequence[RunSnapshot],
    look: RunsTableState,
    words: str,
    shown: str | None,
    waiting: Sequence[str],
    owner: bool,
) -> str:
    """`waiting`: ids of the queued runs in their order. Only an owner gets the buttons that change it."""
    if not runs:
        return NO_RUN
    kept = [run for run in runs if matches(run, words)]
    head = "".join(_heading(name, title, look) for name, title in COLUMNS)
    top = f'<tr><th scope="col"><span class="unseen">Compare</span></th>{head}</tr>'
    body = "".join(_row(run, look, shown, waiting, owner) for run in in_order(kept, look))
    count = f'<p class="said">{len(kept)} of {len(runs)} runs.</p>' if len(kept) < len(runs) else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="plain runs"><thead>{top}</thead><tbody>{body}</tbody></table>'
        f"</div>{count}"
    )


def matches(run: RunSnapshot, words: str) -> bool:
    """Whether all words are somewhere in what the table says of the run."""
    text = " ".join(str(each) for each in _values(run).values()).lower()
    return all(word in text for word in words.lower().split())


def in_order(runs: Sequence[RunSnapshot], look: RunsTableState) -> list[RunSnapshot]:
    """Sorted by the column; runs that have nothing there come last either way."""
    known = [run for run in runs if _values(run)[look.column] is not None]
    unknown = [run for run in runs if _values(run)[look.column] is None]
    return sorted(known, key=lambda run: _key(_values(run)[look.column]), reverse=look.falling) + unknown


def comparison(runs: Sequence[RunSnapshot], weight: float) -> str:
    """The curves of several runs in one chart, and of their recipes and results what differs."""
    if len(runs) < 2:
        return ""
    names = _told_apart(runs)
    lines = []
    for colour, (run, name) in enumerate(zip(runs, names, strict=True)):
        lines.append(Line(name, smoothed(run.training, weight), colour))
        lines.append(Line(f"{name}, eval", run.evaluated, colour, dashed=True, dots=True))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>' + "".join(f"<td>{escape(each)}</td>" for each in values) + "</tr>"
        for label, values in differences(runs)
    )
    return (
        f'{line_chart(lines, f"Losses of {len(runs)} runs by step")}<div class="scroll" tabindex="0">'
        f'<table class="plain differences"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        '<p class="said">Of the recipes, only what differs is shown.</p>'
    )


def differences(runs: Sequence[RunSnapshot]) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run) for the settings that are not the same in all, then the results."""
    recipes = [asdict(run.recipe) if run.recipe else {} for run in runs]
    rows = [
        (name, [_plain(recipe.get(name)) for recipe in recipes])
        for name in max(recipes, key=len)
        if name != "run_name" and len({str(recipe.get(name)) for recipe in recipes}) > 1
    ]
    results = [
        ("state", [str(run.state) for run in runs]),
        ("steps", [str(run.summary.step) for run in runs]),
        ("loss", [number(run.summary.loss) for run in runs]),
        ("eval loss", [number(run.summary.eval_loss) for run in runs]),
        ("tokens/s", [number(run.summary.tokens_per_second, 0) for run in runs]),
    ]
    return rows + results


def trash_list(found: Sequence[Trashed]) -> str:
    if not found:
        return ""
    rows = "".join(
        f"<li>{escape(each.id)}, deleted {moment(each.at)}, {size(each.bytes)} "
        f'<button class="small" data-action="restore" data-value="{escape(each.id)}">Restore</button></li>'
        for each in found
    )
    total = size(sum(each.bytes for each in found))
    return (
        f'<details class="trash"><summary>Trash: {len(found)} {"run" if len(found) == 1 else "runs"}, {total}</summary>'
        f'<ul>{rows}</ul><button class="small" data-action="empty-trash" '
        f'data-confirm="Delete these runs for good? Their adapters stay.">Empty the trash</button></details>'
    )


def _row(run: RunSnapshot, look: RunsTableState, shown: str | None, waiting: Sequence[str], owner: bool) -> str:
    line, ident = run.summary, escape(run.id)
    picked = " checked" if run.id in look.picked else ""
    said = f"Compare {escape(line.name)}"
    pick = f'<input type="checkbox" data-look="pick" data-value="{ident}" aria-label="{said}"{picked}>'
    name = f'<button class="link" data-look="show" data-value="{ident}">{escape(line.name)}</button>'
    state = f'<span class="state {escape(run.state)}">{escape(run.state)}</span>'
    if run.state is RunState.QUEUED and run.id in waiting:
        place = waiting.index(run.id)
        state += f" {place + 1}." + (_moves(run.id, place, len(waiting)) if owner else "")
    cells = [
        pick,
        name,
        state,
        moment(line.created),
        f"{line.step}/{line.max_steps or '–'}",
        number(line.loss),
        number(line.eval_loss),
        escape(dataset_of(run)),
        str(run.recipe.lora_r) if run.recipe else "–",
        f"{run.recipe.learning_rate:g}" if run.recipe else "–",
        escape(line.adapter or "–"),
    ]
    current = ' aria-current="true"' if run.id == shown else ""
    return (
        f'<tr data-run="{ident}" data-state="{escape(run.state)}"{current}>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _moves(run_id: str, place: int, count: int) -> str:
    buttons = [("earlier", "↑", "Start it earlier", place > 0), ("later", "↓", "Start it later", place < count - 1)]
    buttons.append(("stop", "✕", "Cancel it", True))
    return "".join(
        f' <button class="small" data-action="{action}" data-value="{escape(run_id)}" aria-label="{said}" '
        f'title="{said}">{sign}</button>'
        for action, sign, said, possible in buttons
        if possible
    )


def _heading(name: str, title: str, look: RunsTableState) -> str:
    sorted_so = name == look.column
    how = ("descending" if look.falling else "ascending") if sorted_so else "none"
    arrow = (" ↓" if look.falling else " ↑") if sorted_so else ""
    return (
        f'<th scope="col" aria-sort="{how}"><button class="link" data-look="sort" data-value="{name}">{title}{arrow}'
        "</button></th>"
    )


def _values(run: RunSnapshot) -> dict[str, Any]:
    line = run.summary
    return {
        "name": line.name,
        "state": str(run.state),
        "created": line.created,
        "step": line.step,
        "loss": line.loss,
        "eval_loss": line.eval_loss,
        "dataset": dataset_of(run) if run.recipe else None,
        "rank": run.recipe.lora_r if run.recipe else None,
        "rate": run.recipe.learning_rate if run.recipe else None,
        "adapter": line.adapter,
    }


def _key(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _told_apart(runs: Sequence[RunSnapshot]) -> list[str]:
    names = [run.summary.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.id[9:15]})" for name, run in zip(names, runs, strict=True)
    ]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "–" if value is None else str(value)

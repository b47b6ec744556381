"""All runs in a table to sort and filter, and the trash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from core.training.state import RunState
from core.training.trash import Trashed
from studio.html.chart import COLOURS
from studio.html.templating import render
from studio.runs.run_cache import RunSnapshot

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
    """How one browser shows the runs: the column that they are sorted by, and the ids of those that are compared."""

    column: str = "created"
    descending: bool = True
    compared: tuple[str, ...] = ()

    def sorted_by(self, column: str) -> RunsTableState:
        """The other way round where it is sorted so already."""
        if column not in {name for name, _ in COLUMNS}:
            return self
        descending = not self.descending if column == self.column else column == "created"
        return replace(self, column=column, descending=descending)

    def with_compared(self, run_id: str) -> RunsTableState:
        """With one run more, or one less, to compare. The one that was chosen first makes room."""
        if run_id in self.compared:
            return replace(self, compared=tuple(compared for compared in self.compared if compared != run_id))
        return replace(self, compared=(*self.compared, run_id)[-MOST_COMPARED:])


def render_runs_table(
    runs: Sequence[RunSnapshot],
    state: RunsTableState,
    filter_text: str,
    shown_id: str | None,
    queued_ids: Sequence[str],
    is_owner: bool,
) -> Markup:
    """`queued_ids`: ids of the queued runs in their order. Only an owner gets the buttons that change it."""
    if not runs:
        return render("runs/no_run.html")
    found = [run for run in runs if matches(run, filter_text)]
    queued = {run.id for run in found if run.state is RunState.QUEUED}
    return render(
        "runs/table.html",
        runs=in_order(found, state),
        total=len(runs),
        columns=COLUMNS,
        state=state,
        shown_id=shown_id,
        positions={run_id: position for position, run_id in enumerate(queued_ids) if run_id in queued},
        queue_length=len(queued_ids),
        is_owner=is_owner,
    )


def matches(run: RunSnapshot, filter_text: str) -> bool:
    """Whether all words of the filter are somewhere in what the table says of the run."""
    text = " ".join(str(value) for value in _values(run).values()).lower()
    return all(word in text for word in filter_text.lower().split())


def in_order(runs: Sequence[RunSnapshot], state: RunsTableState) -> list[RunSnapshot]:
    """Sorted by the column; runs that have nothing there come last either way."""
    known = [run for run in runs if _values(run)[state.column] is not None]
    unknown = [run for run in runs if _values(run)[state.column] is None]
    return sorted(known, key=lambda run: _sort_key(_values(run)[state.column]), reverse=state.descending) + unknown


def render_trash(runs: Sequence[Trashed]) -> Markup:
    return render("runs/trash.html", runs=runs) if runs else Markup("")


def _values(run: RunSnapshot) -> dict[str, Any]:
    summary = run.summary
    return {
        "name": summary.name,
        "state": str(run.state),
        "created": summary.created,
        "step": summary.step,
        "loss": summary.loss,
        "eval_loss": summary.eval_loss,
        "dataset": run.dataset if run.recipe else None,
        "rank": run.recipe.lora_r if run.recipe else None,
        "rate": run.recipe.learning_rate if run.recipe else None,
        "adapter": summary.adapter,
    }


def _sort_key(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value

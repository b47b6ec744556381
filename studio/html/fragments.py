"""HTML that several tabs show: tables, the progress of loading the base, an error where its result would have been."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.html.templating import render

if TYPE_CHECKING:
    from adapters.common.errors import UserError
    from studio.engine.status import EngineStatus

PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")


def render_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """A table with a heading for each column. A cell that is None shows a dash."""
    return render("shared/table.html", head=head, rows=rows)


def render_loading(engine: EngineStatus) -> Markup:
    """A bar that shows how far the engine has loaded the base; it moves to and fro where no percentage is known."""
    found = PERCENT.search(engine.detail)
    percent = float(found[1]) if found else None
    return render(
        "shared/loading.html",
        detail=engine.detail or engine.state,
        percent=None if percent is None else f"{percent:g}",
        width=None if percent is None else f"{min(100.0, percent):g}",
    )


def render_error(error: UserError) -> Markup:
    """An error that takes the place of the result."""
    return render("shared/error.html", message=error.message, remedy=error.remedy)

"""How a push or a pull reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]  # share done (0 to 1), what is being done


def no_progress(share: float, what: str) -> None:
    """For callers who do not want to know."""

"""What last failed with an adapter, so that its card says why until something has worked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.common.errors import UserError
from core.common.redaction import masked


class Troubles:
    """Kept in memory only, by adapter; for the owner's eyes."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}

    @contextmanager
    def noting(self, name: str, what: str) -> Iterator[None]:
        """What is tried: Loading, Push, Merge. A UserError goes on its way and is kept; success forgets."""
        try:
            yield
        except UserError as error:
            self._of[name] = f"{what} failed. {masked(str(error))}"
            raise
        self._of.pop(name, None)

    def of(self, name: str) -> str:
        return self._of.get(name, "")

    def forget(self, name: str) -> None:
        self._of.pop(name, None)

"""What last failed with an adapter, so that its card says why until something has worked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.common.errors import UserError
from core.common.redaction import masked


class AdapterFailures:
    """Kept in memory only, by adapter; for the owner's eyes."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}

    @contextmanager
    def recording(self, name: str, action: str) -> Iterator[None]:
        """action: Loading, The push, Merging. A UserError is recorded and raised on; success removes what was there."""
        try:
            yield
        except UserError as error:
            self._by_name[name] = f"{action} failed. {masked(str(error))}"
            raise
        self._by_name.pop(name, None)

    def of(self, name: str) -> str:
        return self._by_name.get(name, "")

    def forget(self, name: str) -> None:
        self._by_name.pop(name, None)

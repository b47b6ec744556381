"""Each test reads its files anew, whatever was read before it in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.data.cache import CACHE


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    CACHE.clear()
    yield
    CACHE.clear()

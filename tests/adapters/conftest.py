"""A store of a home of its own."""

from __future__ import annotations

import pytest

from adapters.store import AdapterStore
from core.common.home import Home


@pytest.fixture
def store(home: Home) -> AdapterStore:
    return AdapterStore(home.adapters)

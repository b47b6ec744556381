"""Without a C++ compiler nothing is rehearsed, and that is said loudly."""

from __future__ import annotations

import pytest

from tests.rehearsal import shim


@pytest.fixture(scope="session")
def a_compiler() -> None:
    if obstacle := shim.find_obstacle():
        pytest.skip(obstacle)

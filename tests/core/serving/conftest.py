from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.serving.lora.slots import HostAdapter
from tests.core.serving import tiny
from tests.core.serving.running import Running


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six adapters for the tiny Llama."""
    root, model = tmp_path_factory.mktemp("adapters"), tiny.model()
    return [tiny.adapter(root / f"a{i}", model, seed=i + 1, r=4 + i) for i in range(6)]


@pytest.fixture
def running() -> Iterator[Running]:
    """A small engine: four rows, two slots, chunks of 8 tokens."""
    with Running(tiny.model(), max_rows=4, slots=2, prefill_chunk=8, kv_tokens=1024, max_waiting=1200) as engine:
        yield engine


@pytest.fixture
def adapters(running: Running, folders: list[Path]) -> list[HostAdapter]:
    return [running.read(folder) for folder in folders]

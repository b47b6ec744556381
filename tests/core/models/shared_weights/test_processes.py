"""One copy of the base in real processes: an engine, a second reader and a trainer that is killed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from core.common.home import Home
from core.models.base import load_model, resolve
from core.models.shared_weights.shared_base import MAPPED
from core.serving.engine.start_record import StartFile
from core.training.events import Note, Progress
from core.training.launcher import start_worker
from core.training.run import create_run
from tests.core.models.base_process import BaseProcess
from tests.core.models.shared_weights.mapping_process import logits_digest
from tests.core.training.conftest import short_recipe, wait_for

WAIT_SECONDS = 240.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="shared memory is counted by /proc/PID/smaps"),
]


@dataclass
class Engine:
    """python -m core.serving on the built-in base, its 4-bit weights kept as they are."""

    process: subprocess.Popen[bytes]
    home: Home

    def url(self) -> str:
        return str(json.loads((self.home.processes / "engine.json").read_text())["url"])

    def ready(self) -> dict[str, Any]:
        """What /health says once it is ready."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the engine has ended"
            if (self.home.processes / "engine.json").exists():
                health: dict[str, Any] = httpx.get(self.url() + "/health", timeout=WAIT_SECONDS).json()
                if health["status"] != "loading":
                    return health
            time.sleep(0.05)
        raise AssertionError("the engine is not ready in time")

    def answer(self) -> str:
        body = {"model": "base", "prompt": "The capital of Cuba", "max_tokens": 12, "temperature": 0}
        response = httpx.post(self.url() + "/v1/completions", json=body, timeout=WAIT_SECONDS)
        return str(response.raise_for_status().json()["choices"][0]["text"])


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.open(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def pair(shared_home: Home) -> Iterator[tuple[Engine, BaseProcess]]:
    """Two processes that need the same base at the same moment, with nothing in the cache."""
    home = str(shared_home.root)
    serving = [sys.executable, "-P", "-m", "core.serving", "--home", home, "--weights", "packed", "--max-rows", "2"]
    engine = Engine(subprocess.Popen(serving, stderr=subprocess.DEVNULL), shared_home)
    reader = BaseProcess("tests.core.models.shared_weights.mapping_process", home, "builtin")
    yield engine, reader
    reader.kill()
    engine.process.kill()
    engine.process.wait()


def weights_file(home: Home) -> Path:
    (path,) = home.cache.glob("*.arena")
    return path


def mapping(pid: int, path: Path) -> Any:
    """The kernel's account of the mappings of `path` in a process: bytes, see proc(5) about smaps."""
    (found,) = [region for region in psutil.Process(pid).memory_maps() if region.path == str(path)]
    return found


def assert_one_copy(path: Path, *pids: int) -> None:
    """Each page that several processes see is counted in parts (Pss), which add up to no more than the file."""
    size = path.stat().st_size
    found = [mapping(pid, path) for pid in pids]
    assert all(region.rss > 0.9 * size for region in found)
    assert all(region.private_dirty == 0 for region in found)  # nobody has copied a page by writing to it
    assert sum(region.pss for region in found) <= size + 2 * len(pids) * 4096
    assert all(region.pss < 1.1 * region.rss / len(pids) for region in found)


def test_two_processes_that_write_at_once_end_with_one_weights_file(
    pair: tuple[Engine, BaseProcess], shared_home: Home
) -> None:
    engine, reader = pair
    ways = [json.loads(reader.line()), engine.ready()["choices"]["base"]]
    assert [way["value"] for way in ways] == [MAPPED, MAPPED]
    assert sum("made now" in way["reason"] for way in ways) == 1
    left = {path for path in shared_home.cache.iterdir() if not path.name.endswith(StartFile.suffix)}
    assert sorted(path.suffix for path in left) == [".arena", ".lock"]

    assert reader.logits() == logits_digest(load_model(resolve("builtin")))
    assert engine.answer() == engine.answer()
    assert_one_copy(weights_file(shared_home), engine.process.pid, reader.process.pid)


def test_a_killed_trainer_leaves_the_others_untouched(pair: tuple[Engine, BaseProcess], shared_home: Home) -> None:
    engine, reader = pair
    engine.ready()
    answer, logits = engine.answer(), reader.logits()
    path = weights_file(shared_home)
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    run = create_run(shared_home, replace(short_recipe(shared_home.root), max_steps=500, save_steps=500))
    worker = start_worker(run)
    try:
        events = wait_for(run, lambda events: any(isinstance(event, Progress) and event.step >= 3 for event in events))
        assert any(isinstance(event, Note) and "The base in memory: mapped" in event.text for event in events)
        assert_one_copy(path, engine.process.pid, reader.process.pid, worker.pid)
        assert (engine.answer(), reader.logits()) == (answer, logits)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert (engine.answer(), reader.logits()) == (answer, logits)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert_one_copy(path, engine.process.pid, reader.process.pid)

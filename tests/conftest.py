"""Every test gets a home of its own, no network, and one torch thread per process (two cores, several processes)."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # as in the product: nothing is compiled, so no compiler is imported

import pytest
from hypothesis import HealthCheck, settings

import tests.base_cache  # noqa: F401  its folder has to be there before xdist starts its workers
from core.common.home import Home

pytest_plugins = ["tests.hub_server.fixtures"]

# All that is imported stays to the end: while it comes in nothing is to be collected, and later none of it is looked at
# again and again (there are two million such objects).
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    _hand_torchs_log_on()


def _hand_torchs_log_on() -> None:
    """Let torch's loggers hand on to torch's own: six times per test pytest puts a handler on each that does not.

    There are eighty of them, and it took as long as most tests do.
    """
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.name.startswith("torch."):
            logger.propagate = True


def _must_be_open(descriptor: int) -> None:
    os.fstat(descriptor)


# Tests end processes, not the power: what is on its way to the disk is as good as there. Waiting for it took a tenth of
# the time.
os.fsync = _must_be_open  # type: ignore[assignment]

# The same examples in every run, and none of them judged by its speed.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("steady")


# Of the end-to-end tests these files take longest; begun first, none is left for one worker to end alone.
LONGEST = ("test_survival.py", "test_main_job.py", "test_teach.py", "test_data.py", "test_random_kills.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser tests last: Playwright leaves an event loop running in its process, which asyncio.run refuses."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.name
        return "e2e" in item.path.parts, LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was not rehearsed is said where nobody overlooks it."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    if unrehearsed := [reason for reason in skipped if "the GPU rehearsal needs" in reason]:
        terminalreporter.section("NOT REHEARSED", yellow=True, bold=True)
        terminalreporter.line(f"{len(unrehearsed)} tests: {unrehearsed[0].rpartition(': ')[2]}")


# `make fast` leaves out what is marked slow, and refuses processes to the rest: what starts one has to be marked.
STARTS_A_PROCESS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"})
_may_start_processes = True


def _refuse_processes(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS_A_PROCESS and not _may_start_processes:
        raise AssertionError(f"This test starts a process and is not marked slow: {arguments}")


sys.addaudithook(_refuse_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fixtures of a module or a session count for the test that sets them up."""
    global _may_start_processes
    _may_start_processes = "not slow" not in item.config.option.markexpr
    try:
        return (yield)
    finally:
        _may_start_processes = True


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def own_folders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STUDIO_HOME and HF_HOME name folders of the test's own, so that none can touch a person's.

    They lie in tmp_path where the test has one; nothing is made for a test that makes nothing.
    """
    own = "tmp_path" in request.fixturenames
    folder: Path = request.getfixturevalue("tmp_path") if own else tmp_path_factory.getbasetemp() / f"{next(_numbers)}"
    monkeypatch.setenv("STUDIO_HOME", str(folder / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))


@pytest.fixture
def home(tmp_path: Path, own_folders: None) -> Home:
    """The empty home folder that STUDIO_HOME names."""
    return Home.open()

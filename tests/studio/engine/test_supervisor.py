"""The engine's supervisor, with real engine processes."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from core.common.home import Home
from core.common.process import Identity, announced_engine
from core.coordination import suspend
from studio.__main__ import parse
from studio.app import build_app
from studio.cli.serve import engine_settings
from studio.context import Studio
from studio.engine.client import EngineClient
from studio.engine.restart_policy import GIVE_UP_AFTER, Retry
from studio.engine.status import FAILED, SUSPENDED
from studio.engine.supervisor import EngineSupervisor
from tests import base_cache
from tests.app_process import left_behind, poll
from tests.core.serving import tiny

pytestmark = pytest.mark.slow

WAIT_SECONDS = 240.0


@pytest.fixture
def clean(home: Home) -> Iterator[Home]:
    base_cache.take(home.root)
    yield home
    base_cache.give(home.root)
    for process in left_behind(home.root):
        process.kill()


def test_an_engine_whose_studio_died_before_it_said_a_word_is_adopted_all_the_same(
    clean: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EngineSupervisor(clean, "builtin")
    first._adopt_or_spawn()  # and here its web process is killed: the engine has only just been started
    assert not first.process.record_path.exists()
    (started,) = left_behind(clean.root)

    second = EngineSupervisor(clean, "builtin")
    second.start()
    assert second.ready.wait(WAIT_SECONDS)
    assert [process.pid for process in left_behind(clean.root)] == [started.pid]

    second._stopping.set()  # and here its web process is killed, and the file damaged that says where the engine is
    second._thread.join()
    second.process.record_path.write_bytes(b"\x00\xff")
    monkeypatch.setattr("studio.engine.engine_process.SILENT_SECONDS", 0.0)
    third = EngineSupervisor(clean, "builtin")  # the engine that has ended does not keep another one from starting
    third.start()
    try:
        poll(lambda: third.url is not None, WAIT_SECONDS, "another one in place of the engine that nobody can find")
        assert [process.pid for process in left_behind(clean.root)] != [started.pid]
    finally:
        third.stop()
    assert not left_behind(clean.root)


def test_a_studio_that_ends_at_once_takes_the_engine_along_that_its_forerunner_started(clean: Home) -> None:
    EngineSupervisor(clean, "builtin")._adopt_or_spawn()
    second = EngineSupervisor(clean, "builtin")
    second.start()
    second.stop()
    assert not left_behind(clean.root)


def test_an_engine_that_is_set_otherwise_is_replaced_and_not_adopted(clean: Home) -> None:
    first = EngineSupervisor(clean, "builtin")
    first._adopt_or_spawn()  # and here its web process is killed
    poll(lambda: settings_in_force(clean) == {}, WAIT_SECONDS, "the engine to listen")
    second = EngineSupervisor(clean, "builtin", command_line={"slots": 3})
    second.start()
    try:
        poll(lambda: settings_in_force(clean) == {"slots": 3}, WAIT_SECONDS, "an engine as this studio wants it")
        assert not first.process.is_alive()
        assert second.apply_settings({"max_rank": 128, "slots": 5})
        wanted = {"max_rank": 128, "slots": 3}  # the command line goes before what is saved
        poll(lambda: settings_in_force(clean) == wanted, WAIT_SECONDS, "the engine to be started again")
        assert second.status.restarts == 0, "it has not died"
        assert not second.apply_settings({"max_rank": 128}), "nothing is different"
        assert len(engines(clean)) == 1
        with pytest.raises(UserError, match="slots is 0"):
            second.apply_settings({"slots": 0})
    finally:
        second.stop()
    assert EngineSupervisor(clean, "builtin").settings.to_dict() == {"max_rank": 128}, "it is kept for the next start"


def settings_in_force(home: Home) -> dict[str, Any] | None:
    """What the engine that listens has been started with."""
    found = announced_engine(home)
    return found.settings if found else None


def test_another_server_as_the_engine_is_not_set_here(home: Home) -> None:
    with pytest.raises(UserError, match="another server"):
        EngineSupervisor(home, "builtin", "http://127.0.0.1:9").apply_settings({"slots": 4})
    with pytest.raises(UserError, match="--slots"):
        engine_settings(parse(["serve", "--engine-url", "http://127.0.0.1:9", "--slots", "4"]))
    for wrong in (["--engine-url", "localhost:8000"], ["--engine-home", "/home"]):
        with pytest.raises(UserError, match=r"http://|--engine-url, too"):
            engine_settings(parse(["serve", *wrong]))
    assert engine_settings(parse(["--slots", "4", "--weights", "packed"])) == {"slots": 4, "weights": "packed"}


@pytest.mark.parametrize("full", [True, False], ids=["full disk", "another cause"])
def test_an_engine_that_keeps_dying_is_tried_again_by_itself(
    home: Home, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    engine = EngineSupervisor(home, "builtin")
    engine._stopping.set()  # so that it pauses no seconds between two deaths
    engine.process.identity = Identity(2**22 + 1, 1.0)
    monkeypatch.setattr("studio.engine.supervisor.has_room", lambda home: not full)
    for _ in range(GIVE_UP_AFTER):
        assert not engine._may_restart()
    assert engine.status.state == FAILED and "ended 5 times in a row" in engine.status.detail
    assert ("as soon as there is room" if full else "in 5 minutes") in engine.status.detail
    assert not engine._may_restart()
    if full:
        monkeypatch.setattr("studio.engine.supervisor.has_room", lambda home: True)
    else:
        engine._restarts.retry = Retry(time.monotonic(), disk_full=False)  # the minutes have passed
    assert engine._may_restart()


def test_what_fails_in_the_supervisor_does_not_end_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EngineSupervisor(home, "builtin")
    failed: list[str] = []

    def refused() -> None:
        failed.append(engine.status.detail)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine, "_adopt_or_spawn", refused)
    engine.start()
    poll(lambda: len(failed) > 1, 30, "a second try")
    assert failed[1] == "The disk is full: the engine starts as soon as there is room"
    engine.stop()


ASKER = """
import sys
import time
from core.coordination import suspend
from core.common.home import Home
from core.common.process import Identity, announced
suspend.request_suspend(Home.open(sys.argv[1]), "20990101-000000-pirate", "pirate")
print(flush=True)
sys.stdin.read()
"""


def asker(home: Home) -> subprocess.Popen[str]:
    """A process that wants the chat parked, as a run's worker does."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASKER, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def engines(home: Home) -> list[psutil.Process]:
    return [process for process in left_behind(home.root) if "core.serving" in process.cmdline()]


def test_a_parked_chat_says_so_and_comes_back_with_its_adapters(clean: Home, tmp_path: Path) -> None:
    base = tiny.base_folder(tmp_path / "tiny")
    store = AdapterStore(clean.adapters)
    for name in ("pirate", "radio"):
        record = AdapterRecord(name=name, base_model=str(base))
        store.add(name, tiny.adapter(tmp_path / name, base), record)
    first = EngineSupervisor(clean, str(base))
    first.start()
    assert first.ready.wait(WAIT_SECONDS) and first.is_settled
    EngineClient(first).load("pirate", str(store.path("pirate")))
    wants = asker(clean)
    poll(lambda: first.status.state == SUSPENDED, WAIT_SECONDS, "the chat to be parked")
    said = "The chat is parked while pirate trains: both do not fit the memory. It comes back by itself."
    assert first.status.detail == said.replace("pirate", "a run"), "not everyone may know of the runs"
    assert not first.ready.is_set()
    with TestClient(build_app(Studio.over(clean, str(base), first)), base_url="http://127.0.0.1:7860") as web:
        answer = web.get("/v1/models")
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "30"
    assert answer.json()["error"]["message"] == said and answer.json()["error"]["code"] == "chat_parked"
    with pytest.raises(UserError, match="The chat is parked"):
        asyncio.run(first.wait_until_ready())
    poll(lambda: not engines(clean), WAIT_SECONDS, "the engine to end")

    first._stopping.set()  # and here its web process is killed
    first._thread.join()
    second = EngineSupervisor(clean, str(base))
    second.start()
    try:
        poll(lambda: second.status.state == SUSPENDED, WAIT_SECONDS, "the next studio to leave the chat parked")
        assert not engines(clean)
        wants.kill()  # however the run ends
        wants.wait()
        assert second.ready.wait(WAIT_SECONDS)
        poll(lambda: suspend.read_request(clean) is None, WAIT_SECONDS, "the adapters to be loaded again")
        poll(lambda: bool(second.status.adapters), WAIT_SECONDS, "the engine to say so")
        assert [adapter["name"] for adapter in second.status.adapters] == ["pirate"]
    finally:
        wants.kill()
        second.stop()
    assert not left_behind(clean.root)

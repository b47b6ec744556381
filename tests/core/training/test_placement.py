"""Whether chat and run both have room, and what is done when they do not. The card is given; processes are real."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.common.home import Home
from core.common.process import Identity
from core.coordination import suspend
from core.planner import CHAT, Chat, Gpu, plan_run
from core.recipes.recipe import Recipe
from core.serving.settings import EngineSettings
from core.training import placement
from core.training.events import Note
from core.training.placement import BaseLost, ChatPlacement, watch_owner
from core.training.run import Run, create_run

pytestmark = pytest.mark.slow

MIB = 1 << 20
SETTINGS = EngineSettings(kv_tokens=4096)  # or the cache would grow with the device


@pytest.fixture
def run(home: Home) -> Run:
    return create_run(home, Recipe.from_dict({"dataset_name": "pirate", "run_name": "buccaneer"}))


@pytest.fixture
def engine(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """A process that the home's records call the engine, beneath a studio that is there."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    for name, identity in (("engine", Identity.of(process.pid)), ("web", Identity.own())):
        told = {"pid": identity.pid, "started": identity.started, "settings": SETTINGS.to_dict()}
        (home.processes / f"{name}.json").write_text(json.dumps(told))
    yield process
    process.kill()
    process.wait()


def card(monkeypatch: pytest.MonkeyPatch, run: Run, *, chat: bool, spare: int, shared: bool = False) -> None:
    """A device with `spare` bytes more than the run takes at the least, with or without the chat."""
    tight = Gpu("a device", 1, 1, None, here=True)
    parts = plan_run(run.recipe, tight, dataset_lengths=[100], chat=Chat(SETTINGS, shared)).parts
    size = sum(part.bytes for part in parts if chat or part.owner != CHAT) + spare
    monkeypatch.setattr("core.planner.gpus.this_machine", lambda: replace(tight, nominal=size, usable=size))


def room(run: Run, give_up: bool = False) -> ChatPlacement:
    return ChatPlacement(run, run.recipe, 100, lambda: give_up)


def notes(run: Run) -> list[str]:
    return [event.text for event in run.events()[0] if isinstance(event, Note)]


def test_a_second_copy_that_fits_stays_beside_the_chat_and_is_said(
    run: Run, home: Home, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, run, chat=True, spare=MIB)
    assert room(run).can_chat_stay(shared=False)
    (said,) = notes(run)
    assert said.startswith("The chat stays, with a copy of the base of its own. It fits:")
    assert suspend.read_request(home) is None and engine.poll() is None


def test_the_chat_is_parked_where_only_the_run_fits(
    run: Run, home: Home, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, run, chat=False, spare=MIB)
    asked = threading.Event()
    beat = Run.beat

    def see(self: Run) -> None:
        """What the studio does when it sees that the chat is to be parked."""
        if suspend.read_request(home) is not None:
            asked.set()
            engine.kill()
        beat(self)

    monkeypatch.setattr(Run, "beat", see)
    assert not room(run).can_chat_stay(shared=False)
    assert asked.is_set()
    wanted = suspend.read_request(home)
    assert wanted is not None and wanted.is_active and (wanted.run, wanted.name) == (run.id, "buccaneer")
    assert "So the chat is parked while this run trains; it comes back by itself." in notes(run)[0]
    assert room(run).can_chat_stay(shared=False), "nobody is there any more who could be in the way"


def test_what_fits_neither_way_is_tried_with_the_chat(
    run: Run, home: Home, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, run, chat=False, spare=-MIB)
    assert room(run).can_chat_stay(shared=False)
    assert "It does not fit" in notes(run)[0] and "tried all the same" in notes(run)[0]
    assert suspend.read_request(home) is None


def test_the_chat_stays_where_no_studio_could_bring_it_back(
    run: Run, home: Home, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, run, chat=False, spare=MIB)
    (home.processes / "web.json").unlink()
    assert room(run).can_chat_stay(shared=False)
    assert "no studio is there" in notes(run)[0] and suspend.read_request(home) is None


def test_a_run_that_is_stopped_meanwhile_gives_the_chat_free_again(
    run: Run, home: Home, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch, run, chat=False, spare=MIB)
    assert room(run, give_up=True).can_chat_stay(shared=False)
    assert suspend.read_request(home) is None and engine.poll() is None


def test_without_an_engine_nothing_is_asked_or_said(run: Run, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, run, chat=False, spare=-MIB)
    assert room(run).can_chat_stay(shared=False)
    assert notes(run) == []


def test_who_asks_again_keeps_what_the_chat_had_in_memory(home: Home) -> None:
    suspend.request_suspend(home, "a", "first")
    first = suspend.read_request(home)
    assert first is not None
    suspend.save_adapters(home, first, ("pirate", "radio"))
    suspend.request_suspend(home, "b", "second")
    second = suspend.read_request(home)
    assert second is not None and second.name == "second" and second.adapters == ("pirate", "radio")
    suspend.clear_request(home)
    suspend.clear_request(home)
    assert suspend.read_request(home) is None


def test_an_error_of_a_device_whose_memory_has_gone_is_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Identity.of(process.pid)
    monkeypatch.setattr(placement, "ENDING_SECONDS", 0.2)
    with pytest.raises(ZeroDivisionError), watch_owner(owner) as check:
        check()
        _ = 1 / 0
    with pytest.raises(BaseLost), watch_owner(owner) as check:
        process.kill()
        process.wait()
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(BaseLost), watch_owner(owner) as check:
        check()
    with watch_owner(None) as check:
        check()

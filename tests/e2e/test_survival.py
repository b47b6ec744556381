"""The web process may die, the engine may die, a second studio may come: nothing is lost, nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from adapters.common import damaged_files
from core.common.home import Home
from core.planner import CHAT, Chat, Gpu, plan_run
from core.recipes.recipe import Recipe
from core.training.events import Note, Progress
from core.training.launcher import request_stop
from core.training.run import Run, create_run
from core.training.state import RunState
from tests.app_process import ROOT, StudioProcess, left_behind, poll


@pytest.fixture
def home_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    for process in left_behind(folder):
        process.kill()


def say(studio: StudioProcess, text: str) -> str:
    body = {"model": "base", "messages": [{"role": "user", "content": text}], "max_tokens": 30, "temperature": 0}
    answer = httpx.post(f"{studio.url}/v1/chat/completions", json=body, timeout=120, trust_env=False)
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


@pytest.mark.timeout(400)
def test_web_and_engine_may_be_killed(home_folder: Path) -> None:
    first = StudioProcess(home_folder)
    first.wait_for_address()
    # The page is there before the engine, and the API says so in OpenAI's shape.
    assert "Guanaco Studio" in httpx.get(first.url, trust_env=False).text
    first.wait_until_ready()
    before = say(first, "Who are you?")
    engine = first.record("engine")

    first.process.kill()
    first.process.wait()
    second = StudioProcess(home_folder)
    second.wait_for_address()
    second.wait_until_ready()
    assert second.record("engine")["instance"] == engine["instance"], "the living engine is adopted, not replaced"
    assert say(second, "Who are you?") == before

    os.kill(int(str(engine["pid"])), signal.SIGKILL)
    poll(lambda: second.record("engine")["instance"] != engine["instance"], 120, "the engine to be started again")
    second.wait_until_ready()
    assert say(second, "Who are you?") == before

    third = subprocess.run(command(home_folder, "--port", "0"), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert third.returncode == 2
    assert "already uses the home folder" in third.stderr
    assert second.url in third.stderr, "it says where the first one is"

    second.open_page()
    assert second.stop() == 0
    assert "Traceback" not in second.log.read_text(), "it ends quietly, with a page open"
    assert not left_behind(home_folder)


@pytest.mark.timeout(400)
def test_on_a_full_disk_chat_goes_on_and_with_room_everything_comes_back(home_folder: Path) -> None:
    """The disk is full for these processes alone: none may write anything into a file, until that is lifted."""
    home = Home.open(home_folder)
    (home.processes / "engine.json").mkdir()  # damaged files do not keep it from starting
    (home.processes / "chat_busy").write_bytes(b"")
    (home.processes / "web.json").write_bytes(b"\xff\x00")
    studio = StudioProcess(home_folder)
    studio.wait_for_address()
    studio.wait_until_ready()
    assert {damaged.original_name for damaged in damaged_files.find_damaged(home.root)} == {"engine.json", "web.json"}
    before, engine = say(studio, "Who are you?"), studio.record("engine")
    fill_disk(home_folder)
    assert say(studio, "Who are you?") == before
    assert engine_of(home_folder) == engine["pid"], "it is the same engine: it has not died"

    # An engine that has to start now cannot say where it is, and waits for room.
    os.kill(int(str(engine["pid"])), signal.SIGKILL)
    poll(lambda: engine_of(home_folder) not in (None, engine["pid"]), 120, "the engine to be started again")
    make_room(home_folder)
    poll(lambda: studio.record("engine")["pid"] == engine_of(home_folder), 120, "the engine to say where it is")
    studio.wait_until_ready()
    assert say(studio, "Who are you?") == before

    studio.open_page()
    assert studio.stop(signal.SIGINT) == 0, "Ctrl-C is a way to end it"
    assert "Traceback" not in studio.log.read_text()
    assert not left_behind(home_folder)


def fill_disk(home: Path) -> None:
    """What the studio's processes start inherits it. A limit, as no test may count on being allowed to mount a disk."""
    for process in left_behind(home):
        process.rlimit(psutil.RLIMIT_FSIZE, (0, process.rlimit(psutil.RLIMIT_FSIZE)[1]))


def make_room(home: Path) -> None:
    for process in left_behind(home):
        _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


def engine_of(home: Path) -> int | None:
    return next((process.pid for process in left_behind(home) if "core.serving" in process.cmdline()), None)


@pytest.mark.timeout(600)
def test_a_run_outlives_web_engine_and_studio(home_folder: Path) -> None:
    home = Home.open(home_folder)
    settings = {"dataset_name": "radio", "run_name": "operator", "max_steps": 100_000, "save_steps": 100_000}
    run = create_run(home, Recipe.from_dict(settings | {"eval_fraction": 0, "per_device_train_batch_size": 2}))
    studio = StudioProcess(home_folder)  # finds the run waiting, and starts it
    studio.wait_for_address()
    wait_for_step(run, 2)
    worker = run.status().pid

    studio.process.kill()  # the run does not notice
    studio.process.wait()
    again = StudioProcess(home_folder)
    again.wait_for_address()
    again.wait_until_ready()

    # Nor does it notice when the engine dies whose base it maps: both map a file, which stays.
    assert any("The base in memory: mapped" in event.text for event in run.events()[0] if isinstance(event, Note))
    engine = again.record("engine")
    before = run.summary().step
    os.kill(int(str(engine["pid"])), signal.SIGKILL)
    poll(lambda: again.record("engine")["instance"] != engine["instance"], 120, "the engine to be started again")
    wait_for_step(run, before + 2)
    again.wait_until_ready()
    assert say(again, "Who are you?")
    assert run.status().pid == worker
    assert [entry.state for entry in run.status().timeline] == ["queued", "preparing", "training"]

    assert again.stop() == 0  # as a Space going down does: a checkpoint first
    assert run.state() is RunState.INTERRUPTED
    assert run.status().resumes_itself
    left_at = run.summary().step
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [left_at]
    assert not left_behind(home_folder)

    last = StudioProcess(home_folder)  # the run resumes by itself
    last.wait_for_address()
    wait_for_step(run, left_at + 2)
    request_stop(run)
    poll(lambda: run.state() is RunState.STOPPED, 300, "the run to stop and keep")
    last.wait_until_ready()
    answer = httpx.get(f"{last.url}/v1/models", trust_env=False).json()
    assert "operator" in [model["id"] for model in answer["data"]]
    assert last.stop() == 0
    steps = [event.step for event in run.events()[0] if isinstance(event, Progress)]
    assert steps == list(range(1, len(steps) + 1)), "one unbroken curve, no step trained twice"
    poll(lambda: not left_behind(home_folder), 60, "the worker, whose run has ended, to end too")


# Python imports a module of this name at its start. It has workers plan for a card of so many bytes.
SMALL_CARD = """
import core.planner.gpus as gpus
gpus.this_machine = lambda: gpus.Gpu("a small card", {bytes}, {bytes}, None, here=True)
"""


@pytest.mark.timeout(400)
def test_a_run_that_has_no_room_beside_the_chat_parks_it_and_gives_it_back(home_folder: Path, tmp_path: Path) -> None:
    home = Home.open(home_folder)
    settings = {"dataset_name": "radio", "run_name": "operator", "max_steps": 100_000, "save_steps": 100_000}
    recipe = Recipe.from_dict(settings | {"eval_fraction": 0, "max_length": 128, "use_bnb_nested_quant": False})
    parts = plan_run(recipe, Gpu.find("cpu"), chat=Chat(shared=False)).parts
    alone = sum(part.bytes for part in parts if part.owner != CHAT)
    (tmp_path / "sitecustomize.py").write_text(SMALL_CARD.format(bytes=alone + (50 << 20)))
    studio = StudioProcess(home_folder, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    studio.wait_for_address()
    studio.wait_until_ready()
    before = say(studio, "Who are you?")

    run = create_run(home, recipe)
    wait_for_step(run, 2)
    refused = httpx.get(f"{studio.url}/v1/models", trust_env=False)
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "30"
    assert "The chat is parked while operator trains" in refused.json()["error"]["message"]
    assert httpx.get(f"{studio.url}/healthz", trust_env=False).json()["engine"] == "parked"
    assert not [process for process in left_behind(home_folder) if "core.serving" in process.cmdline()]
    assert any("So the chat is parked" in event.text for event in run.events()[0] if isinstance(event, Note))

    request_stop(run)
    poll(lambda: run.state() is RunState.STOPPED, 120, "the run to stop and keep")
    studio.wait_until_ready()
    assert say(studio, "Who are you?") == before
    assert studio.stop() == 0
    assert not left_behind(home_folder)


def wait_for_step(run: Run, step: int) -> None:
    poll(lambda: run.summary().step >= step, 240, f"step {step}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--base", "/nowhere/at/all"], "is not a model folder"),
        (["--base", "not an id"], "neither 'builtin'"),
        (["--host", "0.0.0.0"], "access token"),
        (["--prot", "80"], "Unrecognized arguments"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_remedy(home_folder: Path, arguments: list[str], told: str) -> None:
    ended = subprocess.run(command(home_folder, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_told_before_anything_starts(home_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            command(home_folder, "--port", port), cwd=ROOT, capture_output=True, text=True, timeout=120
        )
    assert ended.returncode == 2
    assert f"Port {port}" in ended.stderr
    assert not left_behind(home_folder)


def test_a_home_that_cannot_be_written() -> None:
    ended = subprocess.run(command(Path("/proc/studio")), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "cannot be used" in ended.stderr


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "studio", "serve", "--home", str(home), *arguments]

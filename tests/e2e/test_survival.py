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
import pytest

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

    assert second.stop() == 0
    assert not left_behind(home_folder)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--base", "/nowhere/at/all"], "is not a model folder"),
        (["--base", "not an id"], "neither 'builtin'"),
        (["--host", "0.0.0.0"], "access token"),
        (["--prot", "80"], "unrecognized arguments"),
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

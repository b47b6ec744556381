"""TensorBoard on the studio's port shows the runs, and not where they lie."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from torch.utils.tensorboard import SummaryWriter

from studio.api import tensorboard

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ["environment", "environment/", "logdir", "logdir/", "runs", "window_properties"])
def test_no_answer_of_tensorboard_names_the_folder_of_the_runs(board: TestClient, runs: Path, path: str) -> None:
    answer = board.get(f"/tensorboard/data/{path}")
    assert answer.status_code == 200
    assert str(runs) not in answer.text


def test_the_runs_are_shown(board: TestClient, runs: Path) -> None:
    with SummaryWriter(str(runs / "pirate" / "tb")) as writer:
        writer.add_scalar("loss", 1.0, 1)
    deadline = time.monotonic() + 60
    while board.get("/tensorboard/data/runs").json() != ["pirate/tb"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_is_loaded_once_by_the_first_of_requests_that_come_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, both_asked = [], threading.Barrier(2)

    def load(folder: Path) -> tensorboard.Wsgi:
        loaded.append(folder)
        return lambda environ, start_response: [b"a board"]

    def ask() -> list[bytes]:
        both_asked.wait(60)
        return list(board({}, lambda *arguments: None))

    monkeypatch.setattr(tensorboard, "load_board", load)
    board = tensorboard.LazyBoard(tmp_path)
    assert not loaded
    with ThreadPoolExecutor(2) as pool:
        answers = [asked.result(60) for asked in [pool.submit(ask), pool.submit(ask)]]
    assert answers == [[b"a board"], [b"a board"]]
    assert loaded == [tmp_path]


def test_where_it_fails_to_load_the_next_request_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = tensorboard.LazyBoard(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tensorboard, "load_board", lambda runs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            board({}, lambda *arguments: None)
    monkeypatch.setattr(tensorboard, "load_board", lambda runs: lambda environ, start_response: [b"a board"])
    assert list(board({}, lambda *arguments: None)) == [b"a board"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def board(runs: Path) -> TestClient:
    app = FastAPI()
    tensorboard.mount(app, runs)
    return TestClient(app)

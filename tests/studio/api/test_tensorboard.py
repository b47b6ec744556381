"""TensorBoard on the studio's port shows the runs, and not where they lie."""

from __future__ import annotations

import time
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def board(runs: Path) -> TestClient:
    app = FastAPI()
    tensorboard.mount(app, runs)
    return TestClient(app)

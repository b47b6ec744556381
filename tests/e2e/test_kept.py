"""A machine that loses its disk: killed in the middle of a run, it comes back from the bucket and the run ends."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.events import Checkpoint
from core.training.run import create_run, find_run
from core.training.state import AT_REST, RunState
from tests.app_process import StudioProcess, left_behind, poll


@pytest.mark.timeout(300)
def test_a_run_survives_the_loss_of_the_disk(tmp_path: Path) -> None:
    folder, bucket = tmp_path / "home", tmp_path / "data"
    home = Home.open(folder)
    recipe = Recipe.from_dict({"dataset_name": "pirate", "max_steps": 40, "save_steps": 5, "run_name": "survivor"})
    run_id = create_run(home, recipe).id
    first = StudioProcess(folder, "--keep-in", str(bucket))
    try:
        first.wait_for_address()
        poll(lambda: any("checkpoint-" in path for path in newest_state(bucket)), 120, "a checkpoint in the bucket")
    finally:
        # No goodbye: as when the machine is taken away.
        doomed: list[subprocess.Popen[str] | psutil.Process] = [first.process, *left_behind(folder)]
        for process in doomed:
            process.send_signal(signal.SIGKILL)
        first.process.wait()
    kept = {path for path in newest_state(bucket) if "checkpoint-" in path}
    shutil.rmtree(folder)

    second = StudioProcess(folder, "--keep-in", str(bucket))
    try:
        second.wait_for_address()
        run = find_run(home, run_id)
        assert {str(checkpoint.path.relative_to(folder)) for checkpoint in run.checkpoints()} <= {
            str(Path(p).parent) for p in kept
        }
        from_step = max(checkpoint.step for checkpoint in run.checkpoints())
        poll(lambda: run.state_file.read().state in AT_REST and run.summary().adapter, 200, "the run to end")
        assert run.state() is RunState.DONE
        assert run.state_file.read().resumed_from >= from_step >= 5, "it did not begin anew"
        steps = [event.step for event in run.events()[0] if isinstance(event, Checkpoint)]
        assert steps[-1] == 40
        assert AdapterStore(home.adapters).get("survivor").steps == 40
        assert httpx.get(f"{second.url}/healthz", trust_env=False).json()["kept"] in ("ok", "not yet")
        assert second.stop() == 0
        assert "adapters/survivor/studio.json" in newest_state(bucket), "the last state is kept at the end"
    finally:
        second.stop()


def newest_state(bucket: Path) -> dict[str, object]:
    states = sorted((bucket / "guanaco-studio" / "states").glob("state-*.json"))
    for state in reversed(states):
        try:
            return dict(json.loads(state.read_text()))
        except (FileNotFoundError, ValueError):  # deleted since it was listed, or still being written
            continue
    return {}

"""Processes of a working studio are killed at random moments; what was being learnt must come out all the same.

A few rounds belong to the suite. Thirty of them, or as many as one likes, with other seeds:

    STUDIO_KILL_ROUNDS=30 STUDIO_KILL_SEED=1 python -m pytest tests/e2e/test_random_kills.py -s
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adapters.store import AdapterStore
from core.common.home import Home
from core.common.process import announced
from core.recipes.recipe import Recipe
from core.training.events import Progress
from core.training.launcher import resume_run, start_worker
from core.training.run import Run, create_run
from core.training.state import ACTIVE, RunState
from tests.app_process import StudioProcess, left_behind, poll

ROUNDS = int(os.environ.get("STUDIO_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("STUDIO_KILL_SEED", "10984"))
STEPS = 24 if ROUNDS < 10 else 200  # a run ends more than once within many rounds
WHO = ("web", "engine", "trainer")
SINCE = (frozenset(RunState), ACTIVE, frozenset({RunState.TRAINING, RunState.SAVING}))
LONGEST = 4.0  # seconds
WAIT_SECONDS = 300.0
KEPT = frozenset({".state.lock"})  # a lock's file stays, whoever held it


@pytest.fixture
def home_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    for process in left_behind(tmp_path):
        process.kill()


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Small sums, in steps of a fraction of a second. Dropout, so that the random state matters."""
    data = tmp_path / "sums.jsonl"
    rows = [{"text": f"### Human: {n} plus {n % 7}? ### Assistant: Arr, {n + n % 7}, matey!"} for n in range(48)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"dataset_name": str(data), "run_name": "sums", "max_steps": STEPS, "save_steps": 6, "eval_steps": 20}
    return Recipe.from_dict(settings | {"per_device_train_batch_size": 4, "lora_r": 4, "lora_dropout": 0.1})


class Victims:
    """A studio that is started again when it was killed, and a run for it to lose."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.home = Home.open(folder)
        self.recipe = recipe
        self.runs = [create_run(self.home, recipe)]
        self.studio = StudioProcess(folder)
        self.studio.wait_for_address()

    def run(self) -> Run:
        """The run under way; a new one when the last has come to its end."""
        run = self.runs[-1]
        if run.state() is RunState.DONE:
            self.runs.append(create_run(self.home, self.recipe))
        self.helped(self.runs[-1])
        return self.runs[-1]

    def kill(self, who: str, since: frozenset[RunState], after: float) -> str:
        """Kill one of the three `after` so many seconds of the run in one of those states; returns where it stood."""
        run = self.run()
        poll(lambda: self.helped(run).state() in since | {RunState.DONE}, WAIT_SECONDS, "a trainer")
        threading.Event().wait(after)
        doing = f"{run.state()}, step {run.summary().step}"
        if who == "web":
            self.studio.process.kill()
            self.studio.process.wait()
            self.studio = StudioProcess(self.home.root)
            self.studio.wait_for_address()
        elif who == "engine":
            if (engine := announced(self.home.processes / "engine.json")) is not None:
                engine.signal(signal.SIGKILL)
        elif (worker := run.status().worker) is not None:
            worker.signal(signal.SIGKILL)
        return doing

    def wait_until_done(self, run: Run) -> None:
        poll(lambda: self.helped(run).state() is RunState.DONE, WAIT_SECONDS, f"{run.id} to be done")

    def helped(self, run: Run) -> Run:
        """What keeps dying at one step waits for a person, who presses Resume."""
        status = run.status()
        if status.state is RunState.INTERRUPTED and not status.resumes_itself:
            resume_run(run)
        return run


@pytest.mark.timeout(max(600, 60 * ROUNDS))
def test_whatever_is_killed_the_run_ends_as_if_nothing_had_been(
    home_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    undisturbed = create_run(Home.open(tmp_path / "reference"), recipe)
    reference = start_worker(undisturbed)
    chance = random.Random(SEED)
    victims = Victims(home_folder, recipe)
    for number in range(1, ROUNDS + 1):
        who, since, after = chance.choice(WHO), chance.choice(SINCE), chance.uniform(0, LONGEST)
        doing = victims.kill(who, since, after)
        print(f"round {number}: {who} killed after {after:.1f} s ({doing})", flush=True)

    assert reference.wait(WAIT_SECONDS) == 0, undisturbed.log_path.read_text()
    expected = dict(told_losses(undisturbed))
    for run in victims.runs:
        victims.wait_until_done(run)
        told = told_losses(run)
        assert sorted({step for step, _ in told}) == list(range(1, STEPS + 1))
        assert all(loss == expected[step] for step, loss in told), "a step trained twice had another loss"
        curve = EventAccumulator(str(run.tensorboard)).Reload().Scalars("train/loss")
        assert [point.step for point in curve] == list(range(1, STEPS + 1)), "one unbroken curve"
    store = AdapterStore(victims.home.adapters)
    assert {record.run_id for record in store.list()} == {run.id for run in victims.runs}
    assert len(store.list()) == len(victims.runs)
    assert not store.broken()

    victims.studio.wait_until_ready(WAIT_SECONDS)
    for record in store.list():
        assert say(victims.studio, record.name)
    health = httpx.get(f"{victims.studio.record('engine')['url']}/health", trust_env=False).json()
    assert health["rows"] == health["waiting"] == 0
    assert {adapter["name"] for adapter in health["adapters"]} == {record.name for record in store.list()}
    assert victims.studio.stop() == 0
    assert not left_behind(home_folder)
    assert not leftovers(home_folder)


def told_losses(run: Run) -> list[tuple[int, float]]:
    """(step, loss) as the run has told them, a step that was trained twice also twice."""
    return [(event.step, event.loss) for event in run.events()[0] if isinstance(event, Progress)]


def say(studio: StudioProcess, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "3 plus 3?"}], "max_tokens": 20}
    answer = httpx.post(f"{studio.url}/v1/chat/completions", json=body, timeout=WAIT_SECONDS, trust_env=False)
    said = answer.raise_for_status().json()
    assert said["model"] == model
    return str(said["choices"][0]["message"]["content"])


def leftovers(folder: Path) -> list[str]:
    """What only a process that died half way through something can have left."""
    names = [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".unfinished"]
    return [str(path.relative_to(folder)) for path in names if path.name not in KEPT]

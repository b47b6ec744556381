"""What processes that were killed half way through something leave in the home, and how it goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.common.files import temporary_name
from core.common.home import Home
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training.cleanup import remove_leftovers
from core.training.run import create_run

pytestmark = pytest.mark.slow

KILLED_WHILE_WRITING = """
import os, signal
from pathlib import Path
from adapters.common import files
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomic(Path({path!r}), "new")
"""


@pytest.fixture
def dead() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def hidden(home: Home) -> list[str]:
    return sorted(path.name for path in home.root.rglob(".*"))


def test_what_a_killed_writer_left_goes_and_the_file_stays_as_it_was(home: Home) -> None:
    path = home.processes / "engine.json"
    path.write_text("old")
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING.format(path=str(path))])
    assert len(hidden(home)) == 1
    remove_leftovers(home)
    assert hidden(home) == []
    assert path.read_text() == "old"


def test_half_made_folders_of_the_dead_go_and_those_of_the_living_stay(home: Home, dead: int) -> None:
    for folder in (home.adapters, home.runs):
        for pid in (dead, os.getpid()):
            made = folder / temporary_name("staging", pid)
            made.mkdir()
            (made / "adapter_model.safetensors").write_bytes(b"0")
    (home.adapters / f".deleted-pirate-{dead}").mkdir()
    (home.adapters / ".keep").write_text("someone else's")
    remove_leftovers(home)
    assert [name for name in hidden(home) if name != ".keep"] == sorted(
        path.name for folder in (home.adapters, home.runs) for path in folder.glob(f".*{os.getpid()}*")
    )
    assert len(hidden(home)) == 3


def test_a_dead_workers_reserve_and_half_checkpoint_go(home: Home, recipe: Recipe, dead: int) -> None:
    run = create_run(home, recipe)
    run.reserve.write_bytes(b"0")
    saving = run.checkpoints_folder / ".saving" / "checkpoint-3"
    saving.mkdir(parents=True)
    with run.state_file.locked() as change:
        change.set(pid=os.getpid(), started=Identity.own().started)
    remove_leftovers(home)
    assert run.reserve.exists() and saving.exists(), "its worker lives"
    with run.state_file.locked() as change:
        change.set(pid=dead, started=0.0)
    remove_leftovers(home)
    assert not run.reserve.exists() and not saving.parent.exists()


DIES = """
import os, signal, sys
from pathlib import Path
from core.common.home import Home
home = Home.open(sys.argv[1])

def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
"""
KEEPS_A_DATASET = """
from core.data import store
store.write_origin = die
data = home.root / "rows.jsonl"
data.write_text('{"text": "### Human: One? ### Assistant: Two."}')
store.store_files(home, [data])
"""
MERGES = """
from core.models.merge import staged
with staged(home.cache / "merged" / "pirate", 1) as stage:
    (stage / "config.json").write_text("{}")
    die()
"""
RESTORES = """
from studio.backup.backup import Backup
class Place:
    where, restore = "nowhere", die
Backup(home, Place(), 1.0).restore()
"""


@pytest.mark.parametrize("work", [KEEPS_A_DATASET, MERGES, RESTORES], ids=["dataset", "merged model", "restored home"])
def test_half_made_folders_of_killed_processes_go(work: str, home: Home) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES + work, str(home.root)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    (left,) = [path for path in home.root.rglob(".*~*") if path.is_dir()]
    remove_leftovers(home)
    assert not left.exists()


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe.from_dict({"dataset_name": "pirate"})

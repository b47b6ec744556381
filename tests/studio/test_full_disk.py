"""A full disk: what says so, what goes on, and what is held until there is room."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from adapters.common.files import append_line, no_room, write_atomic
from core.common.home import Home
from core.common.process import Identity, announced
from core.coordination.chat_activity import ChatActivity
from core.recipes.recipe import Recipe
from core.training.run import Run, create_run
from core.training.state import RunState
from studio.chat.conversation_stores import DiskStore
from studio.chat.conversations import ColumnRecord, Conversation
from studio.web.lock import WebLock


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may have a byte more: a limit, as no test may count on being allowed to mount a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_files_as_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    whole, lines = folder / "whole.json", folder / "lines.jsonl"
    write_atomic(whole, "old")
    append_line(lines, b"one")
    with full_disk():
        for attempt in (partial(write_atomic, whole, "new"), partial(append_line, lines, b"two")):
            with pytest.raises(OSError) as raised:
                attempt()
            assert no_room(raised.value)
    append_line(lines, b"three")
    assert whole.read_text() == "old" and lines.read_bytes() == b"one\nthree\n"
    assert sorted(path.name for path in folder.iterdir()) == ["lines.jsonl", "whole.json"]


CUT_OFF = """
import os, sys
from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
home = Home.open(sys.argv[1])
busy = ChatActivity(home)
busy.report(3)
os.truncate(home.processes / "chat_busy", 0)  # as a disk leaves it that had no room for its page
assert busy.answers() == 0
busy.report(2)
assert busy.answers() == 2
"""


@pytest.mark.slow
def test_who_is_answering_outlives_a_file_that_is_cut_off_or_has_no_room(home: Home) -> None:
    ended = subprocess.run([sys.executable, "-c", CUT_OFF, str(home.root)], capture_output=True, text=True)
    assert ended.returncode == 0, f"ended with {ended.returncode}: {ended.stderr}"
    (home.processes / "chat_busy").unlink()
    engine, trainer = ChatActivity(home), ChatActivity(home)
    with full_disk():
        engine.report(1)
        assert trainer.answers() == 0
    engine.report(1)
    assert trainer.answers() == 1, "it comes back by itself"


def test_a_studio_that_began_on_a_full_disk_says_where_it_is_once_there_is_room(home: Home) -> None:
    lock = WebLock(home)
    (home.processes / "web.lock").touch()
    with full_disk():
        lock.acquire("http://127.0.0.1:7860")
        lock.say()
        assert announced(lock.path) is None
    lock.say()
    found = announced(lock.path)
    assert found is not None and (found.url, found.identity) == ("http://127.0.0.1:7860", Identity.own())
    lock.release()


@pytest.fixture
def dead_run(home: Home) -> Run:
    run = create_run(home, Recipe.from_dict({"dataset_name": "pirate"}))
    run.move(RunState.PREPARING, pid=Identity.own().pid, started=1.0)
    return run


def test_a_run_whose_worker_died_on_a_full_disk_is_shown_as_interrupted(dead_run: Run) -> None:
    with full_disk():
        assert dead_run.status().state is RunState.INTERRUPTED
        (dead_run.folder / "state.json").write_bytes(b"")
        assert dead_run.state() is RunState.INTERRUPTED, "damaged besides"
    assert dead_run.state() is RunState.INTERRUPTED and dead_run.state_file.path.stat().st_size > 0


def test_a_conversation_is_held_and_listed_while_the_disk_is_full_and_kept_once_there_is_room(home: Home) -> None:
    shelf = DiskStore(home)
    said = ColumnRecord("base", ({"role": "user", "content": "Who?"},))
    with full_disk():
        shelf.put(first := Conversation.new([said], {}))
        assert "is kept by itself once there is room" in shelf.trouble
        shelf.put(second := Conversation.new([said], {}))
        shelf.delete(second.id)
        DiskStore(home).write_held()
        assert DiskStore(home).all() == [first]
    DiskStore(home).write_held()
    assert [path.name for path in shelf.folder.iterdir()] == [f"{first.id}.json"]
    assert DiskStore(home).all() == [first]

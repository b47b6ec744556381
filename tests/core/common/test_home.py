"""The home folder, and telling own processes from strangers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.common import damaged_files
from adapters.common.errors import UserError
from core.common.home import Home, find_home
from core.common.process import Identity


def test_where_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "from-environment"))
    assert find_home(tmp_path / "explicit") == tmp_path / "explicit"
    assert find_home() == tmp_path / "from-environment"
    monkeypatch.delenv("STUDIO_HOME")
    assert find_home().name == "guanaco-studio"


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        Home.open(tmp_path / "taken")


def test_a_file_in_the_place_of_a_folder_is_set_aside(tmp_path: Path) -> None:
    for name in ("runs", "adapters", "datasets", "processes", "cache"):
        (tmp_path / name).write_text("mine")
    home = Home.open(tmp_path)
    assert home.runs.is_dir() and home.cache.is_dir()
    kept = [damaged.path.read_text() for damaged in damaged_files.find_damaged(tmp_path)]
    assert kept == ["mine"] * 5


def test_a_folder_on_a_disk_that_is_not_there_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "adapters").symlink_to(tmp_path / "not-mounted")
    with pytest.raises(UserError, match="link to no folder"):
        Home.open(tmp_path)
    (tmp_path / "not-mounted").mkdir()
    assert Home.open(tmp_path).adapters.is_symlink()


def test_a_home_of_nobody_is_told() -> None:
    with pytest.raises(UserError, match="no home folder for ~nobody-here"):
        Home.open("~nobody-here/studio")


def test_a_home_that_is_not_writable_is_told() -> None:
    # /proc refuses new folders even to root, for whom permission bits mean nothing.
    with pytest.raises(UserError, match=r"STUDIO_HOME"):
        Home.open("/proc/guanaco-studio")


@pytest.mark.slow
def test_identity_knows_its_own_process_only() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Identity.of(child.pid)
    assert identity.alive()
    assert not Identity(child.pid, identity.started - 60).alive(), "a later process with the same pid is a stranger"
    assert identity.signal(signal.SIGKILL)
    child.wait()
    assert not identity.alive()
    assert not identity.signal(signal.SIGTERM)


@pytest.mark.slow
def test_a_process_is_found_by_its_words_where_no_record_names_it(tmp_path: Path) -> None:
    words = ["-c", "input()", str(tmp_path / "run")]
    child = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE)
    assert Identity.running(*words[1:]) == Identity.of(child.pid)
    assert Identity.running(*words[1:], "more") is None
    child.kill()
    child.wait()
    assert Identity.running(*words[1:]) is None


@pytest.mark.slow
def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    identity = Identity.of(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but kept as a zombie
    assert not identity.alive()
    child.wait()

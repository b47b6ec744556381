"""Keeping a home in a folder: whatever it is killed by, and whatever else lies there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.training.run import list_runs
from studio.backup.backup import Backup, open_backup
from studio.backup.folder import open_folder_target
from tests.app_process import ROOT
from tests.studio.backup.places import Bucket, Killed, another, backup_to, contents, fill

# A hook cannot be taken away again, so one calls those that are wanted at the moment.
audits: list[Callable[[str, tuple[object, ...]], None]] = []
sys.addaudithook(lambda event, arguments: [watch(event, arguments) for watch in audits] and None)


@pytest.mark.parametrize("torn", [False, True], ids=["nothing of a cut-off write", "half of a cut-off write"])
def test_killed_anywhere_in_a_sync_the_old_or_the_new_state_comes_back(home: Home, tmp_path: Path, torn: bool) -> None:
    fill(home, tmp_path)
    root = tmp_path / "bucket"
    backup_to(Bucket(root), home).save()
    states = [contents(home)]
    came_back: list[int] = []
    for dies_at in range(100):
        # A new checkpoint takes the place of the old one, and two files change: several writes and deletions.
        run = list_runs(home)[0]
        for checkpoint in run.checkpoints_folder.glob("checkpoint-*"):
            (checkpoint / "optimizer.pt").unlink()
            checkpoint.rmdir()
        new = run.checkpoints_folder / f"checkpoint-{9 + dies_at}"
        new.mkdir()
        (new / "optimizer.pt").write_bytes(os.urandom(10_000))
        (home.root / "keys.json").write_text(f'["{dies_at}"]')
        states.append(contents(home))
        bucket = Bucket(root, dies_at, torn)
        try:
            backup_to(bucket, home).save()
            died = False
        except Killed:
            died = True
        after = another(tmp_path, f"after-{dies_at}")
        backup_to(Bucket(root), after).restore()
        came_back.append(states.index(contents(after)))  # raises where it is none of the states
        assert came_back == sorted(came_back), "never further back than before"
        if not died:
            break
    assert dies_at >= 5
    assert came_back[-1] == len(states) - 1


def test_killed_in_the_first_sync_nothing_comes_back_and_the_next_one_works(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    for dies_at in (0, 3):
        with pytest.raises(Killed):
            backup_to(Bucket(tmp_path / "bucket", dies_at, torn=True), home).save()
    assert backup_to(Bucket(tmp_path / "bucket"), another(tmp_path, "empty")).restore() == 0
    backup_to(Bucket(tmp_path / "bucket"), home).save()
    after = another(tmp_path)
    backup_to(Bucket(tmp_path / "bucket"), after).restore()
    assert contents(after) == contents(home)


def test_a_real_folder_needs_no_rename_no_lock_and_no_link(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, tmp_path)
    bucket = tmp_path / "data"
    seen: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("os.rename", "os.link", "os.symlink", "os.truncate") and str(bucket) in str(arguments):
            seen.append(event)
        if event == "fcntl.flock":
            seen.append(event)
        if event == "open" and str(arguments[0]).startswith(str(bucket)) and set(str(arguments[1])) & set("a+"):
            seen.append(f"open {arguments[1]}")

    audits.append(watch)
    try:
        backup = Backup(home, open_folder_target(bucket), pause=0.0)
        backup.save()
        (home.root / "keys.json").write_text("[2]")
        backup.save()
    finally:
        audits.remove(watch)
    assert backup.status.error == ""
    assert seen == []


@pytest.mark.slow
def test_killed_by_the_system_in_the_middle_of_a_write(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    place = tmp_path / "data"
    assert open_backup(home, str(place)).save()
    before = contents(home)
    checkpoint = list_runs(home)[0].checkpoints_folder / "checkpoint-16"
    checkpoint.mkdir()
    (checkpoint / "optimizer.pt").write_bytes(os.urandom(5_000_000))
    program = f"""
import sys
from core.common.home import Home
from studio.backup import folder
from studio.backup.backup import open_backup
read_unchanged = folder.read_unchanged
def slowly(path, file):
    for piece in read_unchanged(path, file):
        yield piece
        print("half", flush=True)
        sys.stdin.read()  # here it is killed
folder.read_unchanged = slowly
open_backup(Home.open({str(home.root)!r}), {str(place)!r}).save()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    after = another(tmp_path)
    open_backup(after, str(place)).restore()
    assert contents(after) == before
    assert open_backup(home, str(place)).save(), "and the next sync is none the worse for it"
    again = another(tmp_path, "again")
    open_backup(again, str(place)).restore()
    assert contents(again) == contents(home)


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a//b", "runs\\..\\evil"])
def test_a_state_that_leads_elsewhere_is_refused(home: Home, tmp_path: Path, path: str) -> None:
    import hashlib
    import json

    bucket = Bucket(tmp_path / "bucket")
    listing = json.dumps({path: {"sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}}).encode()
    bucket.write(f"contents/{hashlib.sha256(b'x').hexdigest()}", iter([b"x"]))
    bucket.write(f"states/state-00000001-{hashlib.sha256(listing).hexdigest()}.json", iter([listing]))
    with pytest.raises(UserError, match="outside"):
        backup_to(bucket, another(tmp_path)).restore()
    assert not (tmp_path / "evil").exists()

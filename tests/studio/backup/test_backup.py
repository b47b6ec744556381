"""Keeping a home in a bucket or a repository: what comes back is a state as it was, whenever one is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from adapters.common.errors import UserError
from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.run import create_run, list_runs
from studio.backup.backup import Backup, backup_location, open_backup
from studio.backup.files import FileChanged, FileHasher, change_signature, files_to_back_up
from studio.backup.folder import FolderTarget, MountedBucket, open_folder_target
from tests.adapters.folders import write_adapter
from tests.app_process import ROOT
from tests.hub_server.fixtures import Hub, hub

__all__ = ["hub"]


class Killed(BaseException):
    """The process ends here: nothing that it would still have done is done."""


class Bucket(MountedBucket):
    """A mounted bucket: a file is there when it is closed, whole, or (`torn`) as far as it came when the power went.

    Whoever writes to it dies at the operation number `dies_at`, in the middle of it.
    """

    def __init__(self, root: Path, dies_at: int = -1, torn: bool = False) -> None:
        super().__init__(root)
        self.left = dies_at
        self.torn = torn
        self.operations = 0

    def _dying(self) -> bool:
        self.operations += 1
        self.left -= 1
        return self.left == -1

    def write(self, name: str, content: Iterator[bytes]) -> None:
        whole = b"".join(content)
        assert not (self.root / name).exists(), "a bucket's files are not written in place"
        if self._dying():
            if self.torn:
                super().write(name, iter([whole[: len(whole) // 2]]))
            raise Killed
        super().write(name, iter([whole]))

    def delete(self, name: str) -> None:
        if self._dying():
            raise Killed
        super().delete(name)


def fill(home: Home, tmp_path: Path) -> None:
    """A run with a checkpoint, an adapter, a dataset and settings; and what must not be kept."""
    run = create_run(home, Recipe.from_dict({"dataset_name": "pirate"}))
    (run.checkpoints_folder / "checkpoint-8").mkdir(parents=True)
    (run.checkpoints_folder / "checkpoint-8" / "optimizer.pt").write_bytes(os.urandom(3_000_000))
    (run.checkpoints_folder / ".saving").mkdir()
    (run.checkpoints_folder / ".saving" / "half").write_text("x")
    run.beat()
    AdapterStore(home.adapters).import_folder(write_adapter(tmp_path / "lora"), "mine")
    (home.datasets / "mine").mkdir()
    (home.datasets / "mine" / "data.jsonl").write_text("{}\n")
    (home.root / "keys.json").write_text("[]")
    (home.cache / "base.bin").write_bytes(b"x")
    (home.processes / "engine.json").write_text("{}")


def contents(home: Home) -> dict[str, bytes]:
    return {path: (home.root / path).read_bytes() for path in files_to_back_up(home)}


def another(tmp_path: Path, name: str = "after-the-restart") -> Home:
    return Home.open(tmp_path / name)


def backup_to(bucket: MountedBucket, home: Home) -> Backup:
    return Backup(home, FolderTarget(bucket, "the bucket"), pause=0.0)


def test_everything_that_cannot_be_made_again_comes_back(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    bucket = Bucket(tmp_path / "bucket")
    assert backup_to(bucket, home).save()
    after = another(tmp_path)
    assert backup_to(bucket, after).restore() == len(contents(home))
    assert contents(after) == contents(home)
    assert not [path for path in contents(after) if "heartbeat" in path or ".saving" in path or "cache" in path]
    assert [run.id for run in list_runs(after)] == [run.id for run in list_runs(home)]
    assert AdapterStore(after.adapters).get("mine").name == "mine"
    assert not list(after.root.glob(".rest*"))


def test_only_what_is_new_is_written_and_what_is_gone_goes(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    bucket = Bucket(tmp_path / "bucket")
    backup = backup_to(bucket, home)
    backup.save()
    before = set(bucket.names("contents"))
    (home.root / "keys.json").write_text('["new"]')
    AdapterStore(home.adapters).delete("mine")
    bucket.operations = 0
    backup.save()
    assert bucket.operations == 2, "one content and one list"
    for number in range(3):
        (home.root / "keys.json").write_text(f'["{number}"]')
        backup.save()
    assert len(bucket.names("states")) == 2
    assert len(bucket.names("contents")) < len(before), "the adapter's files are in no state any more"
    after = another(tmp_path)
    backup_to(bucket, after).restore()
    assert contents(after) == contents(home)


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


def test_damage_in_the_newest_state_falls_back_and_damage_in_all_is_said(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    bucket = Bucket(tmp_path / "bucket")
    backup = backup_to(bucket, home)
    backup.save()
    first, there = contents(home), set(bucket.names("contents"))
    (home.root / "keys.json").write_text('["new"]')
    backup.save()
    (new,) = set(bucket.names("contents")) - there
    (bucket.root / "contents" / new).write_bytes(b'["NEW"]')
    after = another(tmp_path)
    backup_to(bucket, after).restore()
    assert contents(after) == first
    for name in bucket.names("contents"):
        (bucket.root / "contents" / name).write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        backup_to(bucket, another(tmp_path, "empty")).restore()


def test_a_restore_that_was_cut_off_is_done_again(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home, tmp_path)
    bucket = Bucket(tmp_path / "bucket")
    backup_to(bucket, home).save()
    after = another(tmp_path)
    moved, replace = 0, Path.replace

    def dying(self: Path, target: Path) -> Path:
        nonlocal moved
        moved += 1
        if moved == 3:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(Killed):
        backup_to(bucket, after).restore()
    assert 0 < len(files_to_back_up(after)) < len(files_to_back_up(home))
    backup_to(bucket, after).restore()
    assert contents(after) == contents(home)


def test_a_home_that_has_something_is_left_as_it_is(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    bucket = Bucket(tmp_path / "bucket")
    backup_to(bucket, home).save()
    (home.root / "keys.json").write_text('["newer than what is kept"]')
    assert backup_to(bucket, home).restore() == 0
    assert "newer" in (home.root / "keys.json").read_text()


def test_files_that_grow_are_kept_as_they_were_when_they_were_read(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    events = list_runs(home)[0].events_path
    files = FileHasher(home).hash_all()
    with events.open("a") as file:
        file.write("one more line\n")
    target = FolderTarget(Bucket(tmp_path / "bucket"), "")
    target.save(home.root, files)
    stage = tmp_path / "stage"
    target.restore(stage)
    restored = (stage / events.relative_to(home.root)).read_text()
    assert restored + "one more line\n" == events.read_text()
    (home.root / "keys.json").write_text("[1]")
    with pytest.raises(FileChanged):
        FolderTarget(Bucket(tmp_path / "other"), "").save(home.root, files)


def test_a_run_never_claims_more_than_what_is_read_after_it(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    order = files_to_back_up(home)
    first = {part: min(i for i, path in enumerate(order) if part in path) for part in ("checkpoint-", "adapters/")}
    state = max(i for i, path in enumerate(order) if path.endswith("state.json"))
    assert state < first["checkpoint-"] < first["adapters/"]


def test_that_a_log_grows_is_no_reason_to_keep_anything(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    before = change_signature(home)
    run = list_runs(home)[0]
    with run.events_path.open("a") as file:
        file.write("{}\n")
    run.beat()
    assert change_signature(home) == before
    (run.checkpoints_folder / "checkpoint-16").mkdir()
    (run.checkpoints_folder / "checkpoint-16" / "optimizer.pt").write_bytes(b"x")
    assert change_signature(home) != before


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


audits: list[object] = []
sys.addaudithook(lambda event, arguments: [watch(event, arguments) for watch in audits] and None)  # type: ignore[operator]


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


def test_a_place_that_fails_is_said_and_tried_again(home: Home, tmp_path: Path) -> None:
    fill(home, tmp_path)
    bucket = Bucket(tmp_path / "bucket")
    bucket.root.write_text("a file where the folder should be")
    backup = backup_to(bucket, home)
    assert not backup.save()
    assert backup.status.error
    bucket.root.unlink()
    assert backup.save()
    assert backup.status.error == ""


def test_the_watching_thread_keeps_what_is_new_and_the_end_keeps_the_rest(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.backup.backup.CHECK_SECONDS", 0.01)
    kept = threading.Event()

    class Telling(FolderTarget):
        def save(self, home: Path, files: dict) -> None:  # type: ignore[type-arg]
            super().save(home, files)
            kept.set()

    fill(home, tmp_path)
    backup = Backup(home, Telling(Bucket(tmp_path / "bucket"), ""), pause=0.0)
    backup.start()
    assert kept.wait(30)
    backup.stop(30)
    (home.root / "keys.json").write_text('["the last one"]')
    backup.stop(30)
    after = another(tmp_path)
    backup_to(Bucket(tmp_path / "bucket"), after).restore()
    assert contents(after) == contents(home)


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


# A private repository


def test_a_repository_keeps_states_as_commits(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    fill(home, tmp_path)
    backup = open_backup(home, "ada/home")
    assert backup.save()
    assert hub.repo("ada/home", "dataset").private
    first = hub.head("ada/home", "dataset")
    AdapterStore(home.adapters).delete("mine")
    (home.root / "keys.json").write_text("[2]")
    assert backup.save()
    second = hub.head("ada/home", "dataset")
    assert second.parent == first.sha, "one commit each"
    assert not [path for path in second.files if "adapters/" in path]
    assert backup.save()
    assert hub.head("ada/home", "dataset").sha == second.sha, "nothing new, no commit"
    after = another(tmp_path)
    again = open_backup(after, "ada/home")
    assert again.restore() == len(contents(home))
    assert contents(after) == contents(home)
    assert again.save()
    assert hub.head("ada/home", "dataset").files.keys() == second.files.keys()


@pytest.mark.parametrize("where", ["POST .*preupload", "POST .*/lfs/objects/batch", "PUT /lfs/", "POST .*/commit/"])
def test_a_repository_has_the_old_state_or_the_new_one_wherever_a_sync_ends(
    hub: Hub, home: Home, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.hub.retry.WAITS", ())
    hub.login("hf_ada")
    fill(home, tmp_path)
    backup = open_backup(home, "ada/home")
    assert backup.save()
    before = contents(home)
    checkpoint = list_runs(home)[0].checkpoints_folder / "checkpoint-16"
    checkpoint.mkdir()
    (checkpoint / "optimizer.pt").write_bytes(os.urandom(100_000))
    hub.fail(where, 400, times=1000)
    assert not backup.save()
    assert backup.status.error
    hub.heal()
    after = another(tmp_path)
    open_backup(after, "ada/home").restore()
    assert contents(after) == before
    assert backup.save()
    again = another(tmp_path, "again")
    open_backup(again, "ada/home").restore()
    assert contents(again) == contents(home)


def test_a_public_repository_and_no_token_are_refused(hub: Hub, home: Home) -> None:
    with pytest.raises(UserError):
        open_backup(home, "ada/home")
    hub.login("hf_ada")
    HfApi().create_repo("ada/open", repo_type="dataset", private=False)
    with pytest.raises(UserError, match="public"):
        open_backup(home, "ada/open")


def test_a_hub_that_cannot_be_read_stops_the_start(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    fill(home, tmp_path)
    open_backup(home, "ada/home").save()
    after = another(tmp_path)
    backup = open_backup(after, "ada/home")
    hub.fail("GET /datasets/ada/home/resolve", 403, times=1000)
    with pytest.raises(UserError):
        backup.restore()
    hub.heal()
    assert backup.restore() == len(contents(home)), "an empty home is never taken for the newest state"


def test_where_to_keep_a_home(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.backup.backup.SPACE_VOLUME", tmp_path)
    assert backup_location(None) is None, "on one's own machine nothing is copied anywhere"
    monkeypatch.setenv("SPACE_ID", "ada/studio")
    assert backup_location(None) == str(tmp_path)
    monkeypatch.setenv("STUDIO_KEEP_IN", "ada/home")
    assert backup_location(None) == "ada/home"
    assert backup_location("/elsewhere") == "/elsewhere"
    with pytest.raises(UserError, match="one lies in the other"):
        open_backup(home, str(home.root / "inside"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Nothing can be kept"):
        open_backup(home, str(tmp_path / "file"))
    assert isinstance(open_backup(home, str(tmp_path / "place")).target, FolderTarget)


def test_nothing_more_goes_into_a_repository_that_has_become_public(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    fill(home, tmp_path)
    backup = open_backup(home, "ada/home")
    assert backup.save()
    hub.repos.save(replace(hub.repo("ada/home", "dataset"), private=False))
    (home.root / "datasets" / "new.txt").write_text("a secret")
    assert not backup.save()
    assert "public" in backup.status.error
    assert not any("new.txt" in path for path in hub.head("ada/home", "dataset").files)

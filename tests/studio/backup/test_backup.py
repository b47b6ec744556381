"""Keeping a home in a bucket or a repository: what comes back is a state as it was, whenever one is interrupted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from adapters.store import AdapterStore
from core.common.home import Home
from core.training.run import list_runs
from studio.backup.backup import Backup, backup_location, open_backup
from studio.backup.files import FileChanged, FileHasher, change_signature, files_to_back_up
from studio.backup.folder import FolderTarget
from tests.studio.backup.places import Bucket, Killed, another, backup_to, contents, fill


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

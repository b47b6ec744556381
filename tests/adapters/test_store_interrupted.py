"""The store, interrupted and shared: nothing half-done is seen, nothing is lost, two processes may use it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from adapters.common import files
from adapters.common.errors import UserError
from adapters.store import AdapterStore
from tests.adapters.folders import write_adapter
from tests.adapters.stored import add, hidden, record


def test_a_name_that_is_taken_in_the_last_moment_is_refused_too(
    store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_process_was_faster(path: Path, data: str) -> None:
        write_adapter(store.root / "pirate")
        real(path, data)

    real = files.write_atomic
    monkeypatch.setattr("adapters.store.write_atomic", other_process_was_faster)
    folder = write_adapter(tmp_path / "adapter")
    with pytest.raises(UserError, match="already an adapter"):
        store.add("pirate", folder, record())
    assert folder.exists() and not (folder / "studio.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_loses_nothing(store: AdapterStore, tmp_path: Path) -> None:
    """A real file system of 128 KiB, filled up; the finished folder stays where it was and can be added later."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "adapters").mkdir()
        small = AdapterStore(disk / "adapters")
        folder = write_adapter(disk / "finished")
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(OSError, match="No space left"):
            small.add("pirate", folder, record())
        assert small.list() == [] and folder.exists()
        filler.unlink()
        small.add("pirate", folder, record())
        assert [stored.name for stored in small.list()] == ["pirate"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_failing_disk_loses_nothing(store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: str) -> None:
        raise OSError(28, "No space left on device")

    folder = write_adapter(tmp_path / "adapter")
    with monkeypatch.context() as patch:
        patch.setattr("adapters.store.write_atomic", full)
        with pytest.raises(OSError, match="No space left"):
            store.add("pirate", folder, record())
    assert store.list() == [] and store.broken() == [] and hidden(store) == []
    assert store.add("pirate", folder, record()).name == "pirate"


# Each is where a process is killed while it adds: before the record, before the folder appears, after it has appeared.
@pytest.mark.slow
@pytest.mark.parametrize(("moment", "there"), [("write_atomic", False), ("Path.rename", False), ("sync_folder", True)])
def test_a_process_killed_while_adding_leaves_all_or_nothing(
    store: AdapterStore, tmp_path: Path, moment: str, there: bool
) -> None:
    folder = write_adapter(tmp_path / "adapter")
    program = f"""
        import os, signal
        from pathlib import Path
        import adapters.store as module
        from adapters.record import AdapterRecord

        def killed(*_): os.kill(os.getpid(), signal.SIGKILL)
        module.{moment} = killed
        module.AdapterStore(Path({str(store.root)!r})).add(
            "pirate", Path({str(folder)!r}), AdapterRecord("pirate", "guanaco-builtin"))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert [stored.name for stored in store.list()] == (["pirate"] if there else [])
    assert store.broken() == []
    assert folder.exists() is not there
    if not there:
        assert store.add("pirate", folder, record()).name == "pirate"


def test_what_dead_processes_left_behind_is_swept(store: AdapterStore) -> None:
    old, fresh, grave = (store.root / name for name in (".staging-old", ".staging-fresh", ".deleted-pirate-1"))
    for folder in (old, fresh, grave):
        write_adapter(folder)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    with store.staging():
        assert not old.exists() and not grave.exists() and fresh.exists()


def test_staging_is_removed_on_failure(store: AdapterStore) -> None:
    with pytest.raises(RuntimeError), store.staging() as stage:
        write_adapter(stage / "adapter")
        assert store.list() == [] and store.broken() == []
        raise RuntimeError
    assert hidden(store) == []


def test_a_rename_that_was_cut_off_is_still_one_adapter(store: AdapterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store)
    with monkeypatch.context() as patch:
        patch.setattr(AdapterStore, "update", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            store.rename("pirate", "captain")
    assert [stored.name for stored in store.list()] == ["captain"]
    assert store.rename("captain", "admiral").name == "admiral"


def test_what_an_earlier_delete_left_is_not_in_the_way(store: AdapterStore) -> None:
    write_adapter(store.root / f".deleted-pirate-{os.getpid()}")
    add(store)
    write_adapter(store.root / f".deleted-pirate-{os.getpid()}")
    store.delete("pirate")
    assert list(store.root.iterdir()) == []


def test_readers_never_see_a_half_adapter_while_others_write(store: AdapterStore) -> None:
    """One thread adds, renames and deletes; a reader that lists all the while sees whole adapters or none."""
    done = threading.Event()
    seen: list[tuple[str, str]] = []

    def read() -> None:
        while not done.is_set():
            seen.extend(store.broken())
            store.list()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(8):
            add(store, f"a{number}")
            store.rename(f"a{number}", f"b{number}")
            store.delete(f"b{number}")
    finally:
        done.set()
        reader.join()
    assert seen == []


def test_of_many_who_add_under_one_name_one_wins(store: AdapterStore, tmp_path: Path) -> None:
    outcomes: list[str] = []

    def attempt(number: int) -> None:
        try:
            store.add("pirate", write_adapter(tmp_path / str(number)), record(note=str(number)))
            outcomes.append("added")
        except UserError:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["added"] + ["refused"] * 7
    assert len(store.list()) == 1

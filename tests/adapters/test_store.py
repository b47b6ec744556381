"""The store: nothing half-done is ever seen, nothing is lost, and two processes may use it at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.common import files
from adapters.common.errors import UserError
from adapters.compat import AdapterFacts, inspect
from adapters.record import AdapterRecord, DatasetRef, HubRef, Sample
from adapters.store import AdapterStore, check_name
from core.common.home import Home
from tests.adapters.folders import write_adapter


@pytest.fixture
def store(home: Home) -> AdapterStore:
    return AdapterStore(home.adapters)


def record(name: str = "pirate", **changes: object) -> AdapterRecord:
    return AdapterRecord(name, "guanaco-builtin", **changes)  # type: ignore[arg-type]


def add(store: AdapterStore, name: str = "pirate", **changes: object) -> AdapterRecord:
    with store.staging() as stage:
        return store.add(name, write_adapter(stage / "adapter"), record(name, **changes))


def hidden(store: AdapterStore) -> list[str]:
    return [path.name for path in store.root.iterdir() if path.name.startswith(".")]


def test_an_added_adapter_is_there_whole_and_comes_back_equal(store: AdapterStore) -> None:
    given = record(
        base_fingerprint="f00d",
        dataset=DatasetRef("pirate", "bundled", None, "abc", 300, "apache-2.0"),
        recipe={"lora_r": 4, "learning_rate": 2e-4},
        steps=80,
        train_loss=0.5,
        hub=HubRef("ada/pirate", "c0ffee"),
        samples=[Sample("Hello?", "Hello.", "Ahoy!")],
        tags=["style"],
    )
    with store.staging() as stage:
        added = store.add("pirate", write_adapter(stage / "adapter"), given)
    assert store.get("pirate") == added
    assert store.list() == [added]
    assert store.broken() == []
    assert (added.lora_r, added.lora_alpha, added.target_modules) == (4, 8, ["q_proj", "up_proj"])
    assert added.size_bytes == (store.path("pirate") / "adapter_model.safetensors").stat().st_size
    assert added.dataset == given.dataset and added.samples == given.samples and added.hub == given.hub
    assert hidden(store) == []


def test_adding_moves_a_folder_from_elsewhere(store: AdapterStore, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "run" / "adapter")
    store.add("pirate", folder, record())
    assert not folder.exists()


def test_adding_across_disks_copies_and_then_removes(store: AdapterStore) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == store.root.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = write_adapter(elsewhere / f"studio-test-{os.getpid()}")
    store.add("pirate", folder, record())
    assert not folder.exists()
    assert [stored.name for stored in store.list()] == ["pirate"]
    assert hidden(store) == []


def test_a_taken_name_is_refused_with_a_free_one_and_the_folder_stays(store: AdapterStore, tmp_path: Path) -> None:
    add(store)
    before = store.get("pirate")
    folder = write_adapter(tmp_path / "again")
    files = sorted(path.name for path in folder.iterdir())
    with pytest.raises(UserError, match="'pirate-2' is free"):
        store.add("pirate", folder, record())
    assert sorted(path.name for path in folder.iterdir()) == files
    assert store.get("pirate") == before


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


def test_a_broken_folder_is_not_added(store: AdapterStore, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="truncated"):
        store.add("pirate", folder, record())
    assert store.list() == [] and store.broken() == [] and folder.exists()


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


def test_rename_changes_folder_and_record(store: AdapterStore) -> None:
    add(store)
    store.rename("pirate", "captain")
    assert [stored.name for stored in store.list()] == ["captain"]
    assert json.loads((store.root / "captain" / "studio.json").read_text())["name"] == "captain"
    add(store, "pirate")
    with pytest.raises(UserError, match="already an adapter"):
        store.rename("pirate", "captain")
    with pytest.raises(UserError, match="cannot be"):
        store.rename("pirate", "../captain")
    assert {stored.name for stored in store.list()} == {"captain", "pirate"}


def test_a_rename_that_was_cut_off_is_still_one_adapter(store: AdapterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store)
    with monkeypatch.context() as patch:
        patch.setattr(AdapterStore, "update", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            store.rename("pirate", "captain")
    assert [stored.name for stored in store.list()] == ["captain"]
    assert store.rename("captain", "admiral").name == "admiral"


def test_delete_removes_whole_and_broken_ones(store: AdapterStore) -> None:
    add(store)
    (store.root / "broken one").mkdir()
    store.delete("pirate")
    store.delete("broken one")
    assert list(store.root.iterdir()) == []
    with pytest.raises(UserError, match="no adapter named 'pirate'"):
        store.delete("pirate")


def test_what_an_earlier_delete_left_is_not_in_the_way(store: AdapterStore) -> None:
    write_adapter(store.root / f".deleted-pirate-{os.getpid()}")
    add(store)
    write_adapter(store.root / f".deleted-pirate-{os.getpid()}")
    store.delete("pirate")
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("name", ["..", ".", "", "../adapters", "/etc", "a/b", ".staging-x"])
def test_delete_stays_inside_the_store(store: AdapterStore, name: str) -> None:
    add(store)
    with pytest.raises(UserError, match="no adapter named"):
        store.delete(name)
    assert len(store.list()) == 1


@pytest.mark.parametrize(
    "name", ["", "..", ".", "base", "Base", "a/b", "a\\b", "-a", "a b", "a\n", "x" * 65, "ä", "/etc"]
)
def test_names_that_are_refused(store: AdapterStore, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        check_name(name)
    with pytest.raises(UserError):
        store.add(name, write_adapter(tmp_path / "adapter"), record())
    with pytest.raises(UserError):
        store.path(name)


def test_an_unknown_name_lists_what_there_is(store: AdapterStore) -> None:
    add(store)
    with pytest.raises(UserError, match=r"no adapter named 'parrot'.*Adapters here: pirate\."):
        store.get("parrot")


@pytest.mark.parametrize(
    ("wanted", "free"),
    [("new", "new"), ("pirate", "pirate-2"), ("base", "base-adapter"), ("a b/c", "a-b-c"), ("..", "adapter")],
)
def test_free_name(store: AdapterStore, wanted: str, free: str) -> None:
    add(store)
    assert store.free_name(wanted) == free


def test_broken_folders_are_listed_with_the_reason_and_hurt_nobody(store: AdapterStore, tmp_path: Path) -> None:
    add(store, "whole")
    write_adapter(store.root / "by-hand")
    (store.root / "empty").mkdir()
    (write_adapter(store.root / "cut") / "adapter_model.safetensors").write_bytes(b"")
    (write_adapter(store.root / "garbled") / "studio.json").write_text("{")
    (write_adapter(store.root / "newer") / "studio.json").write_text('{"version": 99}')
    (write_adapter(store.root / "wrong") / "studio.json").write_text('{"version": 1, "name": "x", "hub": 3}')
    (store.root / "link").symlink_to(tmp_path)
    (store.root / "a file").write_text("not a folder, nobody's business")
    assert [stored.name for stored in store.list()] == ["whole"]
    reasons = dict(store.broken())
    assert "no studio.json" in reasons.pop("by-hand")
    assert "adapter_config.json" in reasons.pop("empty")
    assert "truncated" in reasons.pop("cut")
    assert "is set aside as studio.json.damaged-" in reasons.pop("garbled")
    assert "version 99" in reasons.pop("newer")
    assert "not a record" in reasons.pop("wrong")
    assert "link" in reasons.pop("link")
    assert reasons == {}


def test_listing_reads_again_only_what_has_changed(
    store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page lists the adapters every second."""
    for name in ("one", "two"):
        store.import_folder(write_adapter(tmp_path / name), name)
    read: list[str] = []

    def counted(folder: Path) -> AdapterFacts:
        read.append(folder.name)
        return inspect(folder)

    monkeypatch.setattr("adapters.adapter.inspect", counted)
    before = store.list()
    assert sorted(read) == ["one", "two"]
    assert (store.list(), store.broken()) == (before, [])
    assert len(read) == 2
    elsewhere = AdapterStore(store.root)
    elsewhere.update(replace(elsewhere.get("one"), note="another process was here"))
    read.clear()
    assert {stored.name: stored.note for stored in store.list()}["one"] == "another process was here"
    assert read == ["one"]
    weights = store.root / "two" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert [stored.name for stored in store.list()] == ["one"]
    assert [name for name, _ in store.broken()] == ["two"]
    store.rename("one", "three")
    assert [stored.name for stored in store.list()] == ["three"]


def test_a_disk_that_fails_for_a_moment_is_not_remembered(
    store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.import_folder(write_adapter(tmp_path / "one"), "one")

    def fails(folder: Path) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as moment:
        moment.setattr("adapters.adapter.inspect", fails)
        assert [name for name, _ in store.broken()] == ["one"]
    assert [stored.name for stored in store.list()] == ["one"]


def test_a_folder_put_there_by_hand_can_be_adopted(store: AdapterStore) -> None:
    write_adapter(store.root / "by-hand")
    assert store.adopt("by-hand").lora_r == 4
    assert [stored.name for stored in store.list()] == ["by-hand"]
    with pytest.raises(UserError, match="record already"):
        store.adopt("by-hand")


def test_import_copies_only_what_belongs_to_an_adapter(store: AdapterStore, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "peft", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "checkpoint-8").mkdir()
    (folder / "checkpoint-8" / "README.md").write_text("x")
    imported = store.import_folder(folder, "mine", note="from a friend")
    assert imported.base_model == "meta-llama/Llama-2-7b-chat-hf" and imported.note == "from a friend"
    files = {
        path.relative_to(store.path("mine")).as_posix() for path in store.path("mine").rglob("*") if path.is_file()
    }
    assert files == {
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "studio.json", "tokenizer.json",
        "tokenizer_config.json", "tensorboard/events.out.tfevents.1.host.2.0",
    }  # fmt: skip
    assert (folder / "training_args.bin").exists(), "the original is left alone"


def test_import_refuses_links(store: AdapterStore, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "peft")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="not a plain file"):
        store.import_folder(folder, "mine")
    assert store.list() == [] and hidden(store) == []


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

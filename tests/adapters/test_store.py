"""The store: adding, naming, listing, importing, deleting."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from adapters.compat import AdapterFacts, inspect
from adapters.record import DatasetRef, HubRef, Sample
from adapters.store import AdapterStore, check_name
from tests.adapters.folders import write_adapter
from tests.adapters.stored import add, hidden, record


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


def test_a_broken_folder_is_not_added(store: AdapterStore, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="truncated"):
        store.add("pirate", folder, record())
    assert store.list() == [] and store.broken() == [] and folder.exists()


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


def test_delete_removes_whole_and_broken_ones(store: AdapterStore) -> None:
    add(store)
    (store.root / "broken one").mkdir()
    store.delete("pirate")
    store.delete("broken one")
    assert list(store.root.iterdir()) == []
    with pytest.raises(UserError, match="no adapter named 'pirate'"):
        store.delete("pirate")


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

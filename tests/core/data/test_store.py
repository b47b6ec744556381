"""Imported datasets: where they came from stays with them, and is what a run records."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import read_dataset, store
from core.data.provenance import CARD_FILE
from tests.hub_server.server import HubServer

ROW = '{"text": "### Human: Hi ### Assistant: Hello"}\n'


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_an_uploaded_file_keeps_its_name_and_hash(home: Home, tmp_path: Path) -> None:
    uploaded = written(tmp_path, "My chats.jsonl.gz", gzip.compress(ROW.encode()))
    kept = store.store_files(home, [uploaded])
    assert kept.origin is not None
    assert kept.dataset_name == str(home.datasets / "My-chats" / "data.jsonl.gz")
    assert (kept.origin.files, kept.origin.source) == (["My chats.jsonl.gz"], "file")
    read = read_dataset(kept.dataset_name)
    assert (read.name, read.source, read.sha256) == ("My-chats", "file", kept.origin.sha256)
    assert store.list_datasets(home) == [kept]


def test_several_files_are_one_dataset_and_names_that_clash_lose_nothing(home: Home, tmp_path: Path) -> None:
    files = [written(tmp_path, name, ROW * 2) for name in ("a b.jsonl", "a+b.jsonl", "c.jsonl")]
    kept = store.store_files(home, files)
    assert kept.origin is not None and kept.dataset_name == str(kept.folder)
    assert len(kept.files) == 3
    read = read_dataset(kept.dataset_name)
    assert (read.rows, read.name, read.sha256) == (6, kept.folder.name, kept.origin.sha256)


def test_what_is_no_data_file_is_refused_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"notes\.pdf is not a kind of file"):
        store.store_files(home, [written(tmp_path, "a.jsonl", ROW), written(tmp_path, "notes.pdf", "x")])
    assert list(home.datasets.iterdir()) == []


def test_a_changed_file_is_no_longer_called_what_it_was(home: Home, hub: HubServer) -> None:
    kept = from_hub(home, hub)
    Path(kept.dataset_name).write_text(ROW * 3)
    read = read_dataset(kept.dataset_name)
    assert (read.name, read.source, read.revision, read.license) == (kept.folder.name, "file", None, None)
    assert "changed after they were imported" in read.notes[0].what


def from_hub(home: Home, hub: HubServer) -> store.StoredDataset:
    card = "---\nlicense: apache-2.0\n---\n# Poems\n"
    files = {"train.jsonl": ROW * 2, "test.jsonl": ROW, "README.md": card}
    hub.make_repo("ada/poems", {name: text.encode() for name, text in files.items()}, kind="dataset")
    return store.store_from_hub(home, "ada/poems")


def test_a_hub_dataset_is_kept_with_revision_hash_and_licence(home: Home, hub: HubServer) -> None:
    kept = from_hub(home, hub)
    assert kept.origin is not None and kept.origin.revision is not None
    assert kept.title == f"ada/poems ({kept.origin.revision[:7]})"
    assert Path(kept.dataset_name).read_text() == ROW * 2
    read = read_dataset(kept.dataset_name)
    assert (read.name, read.source, read.license) == ("ada/poems", "hub", "apache-2.0")
    assert read.revision == kept.origin.revision
    assert len(kept.origin.revision) == 40
    assert store.store_from_hub(home, "ada/poems") == kept
    other = store.store_from_hub(home, "ada/poems", split="test")
    assert (other.folder.name, read_dataset(other.dataset_name).rows) == ("ada-poems-2", 1)
    assert ", test (" in other.title


def test_removing_takes_only_what_is_kept_here(home: Home, tmp_path: Path) -> None:
    kept = store.store_files(home, [written(tmp_path, "a.jsonl", ROW)])
    for wrong in (str(tmp_path / "a.jsonl"), "pirate", str(home.datasets), "../a"):
        with pytest.raises(UserError, match="no dataset of this studio"):
            store.remove_dataset(home, wrong)
    store.remove_dataset(home, kept.dataset_name)
    assert store.list_datasets(home) == []
    assert (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"name": 3'])
def test_a_broken_card_does_not_hide_the_data(home: Home, tmp_path: Path, card: str) -> None:
    kept = store.store_files(home, [written(tmp_path, "a.jsonl", ROW)])
    (kept.folder / CARD_FILE).write_text(card)
    (found,) = store.list_datasets(home)
    assert (found.origin, found.title) == (None, "a")
    assert read_dataset(found.dataset_name).name == "a"


def test_the_card_is_plain_json(home: Home, tmp_path: Path) -> None:
    kept = store.store_files(home, [written(tmp_path, "ä.jsonl", ROW)])
    card = json.loads((kept.folder / CARD_FILE).read_text())
    assert {"name", "source", "files", "sha256", "imported", "revision", "license"} <= set(card)

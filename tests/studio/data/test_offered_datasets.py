"""Uploaded files are kept as they came, under safe names, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import store
from core.recipes.recipe import Recipe
from studio.context import Studio
from studio.data import offered_datasets
from studio.engine.supervisor import EngineSupervisor
from studio.train.checks import check_may_train
from tests.hub_server.fixtures import Hub

ROW = '{"text": "### Human: Hi ### Assistant: Hello"}\n'


def keep(home: Home, path: Path) -> Path:
    return Path(store.store_files(home, [path]).dataset_name)


def upload(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


def test_a_file_is_kept_byte_for_byte_and_offered(home: Home, tmp_path: Path) -> None:
    kept = keep(home, upload(tmp_path, "My chats (1).JSONL", ROW))
    assert kept.read_text() == ROW
    assert kept == home.datasets / "My-chats-1" / "data.jsonl"
    assert (kept.parent.name, str(kept)) in offered_datasets.dataset_choices(home)


def test_the_same_file_twice_is_kept_once_and_another_gets_a_number(home: Home, tmp_path: Path) -> None:
    first = keep(home, upload(tmp_path, "a.jsonl", ROW))
    assert keep(home, tmp_path / "a.jsonl") == first
    other = keep(home, upload(tmp_path, "a.jsonl", ROW * 2))
    assert other.parent.name == "a-2"
    assert first.read_text() == ROW


@pytest.mark.parametrize("name", ["...jsonl", "-.csv", "..%2f.jsonl"])
def test_names_cannot_leave_the_folder(home: Home, tmp_path: Path, name: str) -> None:
    kept = keep(home, upload(tmp_path, name, ROW))
    assert kept.parent.parent == home.datasets


def test_the_page_trains_on_what_it_offers_only(home: Home, tmp_path: Path) -> None:
    studio = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    kept = keep(home, upload(tmp_path, "mine.jsonl", ROW * 3))
    check_may_train(studio, Recipe.from_dict({"dataset_name": str(kept)}))
    outside = upload(tmp_path, "outside.jsonl", ROW)
    for wrong in (str(outside), "/etc/passwd", "../../etc/passwd"):
        with pytest.raises(UserError, match="neither a dataset of this studio nor a Hub id"):
            check_may_train(studio, Recipe.from_dict({"dataset_name": wrong}))
    with pytest.raises(UserError, match="serves the base"):
        check_may_train(studio, Recipe.from_dict({"dataset_name": str(kept), "model_name_or_path": "owner/other"}))


def test_rows_that_cannot_be_used_stop_the_start_unless_skipped(home: Home, tmp_path: Path) -> None:
    studio = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    kept = str(keep(home, upload(tmp_path, "mixed.jsonl", ROW + '{"text": 3}\n')))
    with pytest.raises(UserError, match="1 of 2 rows"):
        check_may_train(studio, Recipe.from_dict({"dataset_name": kept}))
    check_may_train(studio, Recipe.from_dict({"dataset_name": kept, "skip_bad_rows": True}))


def test_a_run_on_a_hub_dataset_reads_the_kept_copy(home: Home, hub: Hub) -> None:
    hub.make_repo("ada/poems", {"train.jsonl": (ROW * 3).encode()}, kind="dataset")
    settled = offered_datasets.fetch_from_hub(
        home, Recipe.from_dict({"dataset_name": "ada/poems", "dataset_revision": "main"})
    )
    (kept,) = store.list_datasets(home)
    assert (settled.dataset_name, settled.dataset_revision) == (kept.dataset_name, None)
    local = Recipe.from_dict({"dataset_name": "pirate"})
    assert offered_datasets.fetch_from_hub(home, local) == local

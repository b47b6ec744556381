"""Datasets on the Hub, against a real HTTP server: files of a split, revisions, and every way in which it can fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from adapters.common.errors import UserError
from core.data import read_dataset
from core.data.hub import files_of_split, is_hub_id, parse_hub_id
from tests.core.data.hub_site import SHA, Site, serving


def jsonl(*questions: str) -> bytes:
    rows = ({"prompt": question, "completion": "yes"} for question in questions)
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serving() as site:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # What HF_ENDPOINT sets for a whole process, before the import.
        monkeypatch.setattr(constants, "ENDPOINT", site.url)
        template = site.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield site


def questions(name: str, **options: str) -> list[str]:
    return [conversation.messages[0]["content"] for conversation in read_dataset(name, **options).conversations]


def test_the_split_is_read_with_its_revision_and_licence(site: Site) -> None:
    site.repositories["ann/talks"] = {
        "README.md": b"",
        "data/train-00000-of-00002.jsonl": jsonl("a", "b"),
        "data/train-00001-of-00002.jsonl": jsonl("c"),
        "data/test-00000-of-00001.jsonl": jsonl("z"),
    }
    site.cards["ann/talks"] = {"license": "apache-2.0"}
    dataset = read_dataset("ann/talks")
    assert [conversation.messages[0]["content"] for conversation in dataset.conversations] == ["a", "b", "c"]
    assert [conversation.row for conversation in dataset.conversations] == [1, 2, 3]
    assert (dataset.source, dataset.name, dataset.revision) == ("hub", "ann/talks", SHA)
    assert dataset.license == "apache-2.0"
    assert questions("ann/talks", split="test") == ["z"]


def test_the_card_says_which_files_are_which_config(site: Site) -> None:
    site.repositories["ann/talks"] = {"en/a.jsonl": jsonl("en"), "de/a.jsonl": jsonl("de"), "de/b.jsonl": jsonl("eval")}
    site.cards["ann/talks"] = {
        "configs": [
            {"config_name": "en", "data_files": "en/*.jsonl"},
            {
                "config_name": "de",
                "data_files": [{"split": "train", "path": "de/a*"}, {"split": "eval", "path": ["de/b.jsonl"]}],
            },
        ]
    }
    assert questions("ann/talks", config="de") == ["de"]
    assert questions("ann/talks", config="de", split="eval") == ["eval"]
    with pytest.raises(UserError, match=r"several configs.*en, de"):
        read_dataset("ann/talks")
    with pytest.raises(UserError, match=r"no config 'fr'.*en, de"):
        read_dataset("ann/talks", config="fr")
    with pytest.raises(UserError, match=r"no split 'test'.*train, eval"):
        read_dataset("ann/talks", config="de", split="test")


def test_a_local_folder_called_like_the_id_is_not_read(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ann" / "talks"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_bytes(jsonl("local"))
    monkeypatch.chdir(tmp_path)
    site.repositories["ann/talks"] = {"train.jsonl": jsonl("hub")}
    assert questions("ann/talks") == ["hub"]


def test_a_dataset_that_does_not_exist(site: Site) -> None:
    with pytest.raises(UserError, match="no dataset ann/nothing on the Hub, or it is private"):
        read_dataset("ann/nothing")


def test_a_gated_dataset_is_not_called_missing_and_says_where_to_ask(site: Site) -> None:
    site.refusals["ann/gated"] = (403, "GatedRepo")
    with pytest.raises(UserError, match=rf"gated.*{site.url}/datasets/ann/gated"):
        read_dataset("ann/gated")


def test_a_revision_that_does_not_exist(site: Site) -> None:
    site.repositories["ann/talks"] = {"train.jsonl": jsonl("a")}
    with pytest.raises(UserError, match="no revision 'v9'"):
        read_dataset("ann/talks", revision="v9")


def test_a_server_in_trouble(site: Site) -> None:
    site.refusals["ann/talks"] = (418, "")
    with pytest.raises(UserError, match="answered 418"):
        read_dataset("ann/talks")


def test_a_token_that_is_refused_is_not_shown(site: Site) -> None:
    site.refusals["ann/talks"] = (403, "")
    with pytest.raises(UserError, match=r"answered 403.*renew HF_TOKEN") as caught:
        read_dataset("ann/talks", token="hf_secret")
    assert "hf_secret" not in str(caught.value)


def test_no_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot be reached"):
        read_dataset("ann/talks")


def test_the_hub_switched_off() -> None:
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        read_dataset("ann/talks")


def test_a_dataset_made_by_a_script_is_refused(site: Site) -> None:
    site.repositories["ann/talks"] = {"talks.py": b"raise SystemExit", "data.pkl": b""}
    with pytest.raises(UserError, match=r"script talks\.py, which is not run"):
        read_dataset("ann/talks")


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a/b", True),
        ("A-1/b_2.c", True),
        ("a/../b", False),
        ("a/b/c", False),
        ("ab", False),
        ("a/..", False),
        ("/a", False),
    ],
)
def test_ids_are_told_by_pattern(name: str, valid: bool) -> None:
    assert is_hub_id(name) is valid


def split_of(names: list[str], split: str = "train", **config: object) -> list[str]:
    card = {"configs": [{"config_name": "default", **config}]} if config else {}
    return files_of_split("a/b", names, card, None, split)


def test_files_are_assigned_to_splits_by_their_names() -> None:
    assert split_of(["b.json", "a.json"]) == ["a.json", "b.json"]
    assert split_of(["my_train_file.csv", "my_dev_file.csv", "constraint.csv"]) == ["my_train_file.csv"]
    assert split_of(["test/1.parquet", "train/1.parquet"], "test") == ["test/1.parquet"]
    assert split_of(["trains.jsonl"]) == ["trains.jsonl"]


def test_the_same_rows_in_two_kinds_of_file_are_read_once() -> None:
    assert split_of(["a.parquet", "b.parquet", "all.jsonl", "dataset_infos.json"]) == ["a.parquet", "b.parquet"]


def test_patterns_of_a_card() -> None:
    names = ["x/a.csv", "x/y/b.csv", "c.csv"]
    assert split_of(names, data_files="x/*.csv") == ["x/a.csv"]
    assert split_of(names, data_files="**/*.csv") == ["c.csv", "x/a.csv", "x/y/b.csv"]
    assert split_of(names, data_files=["c.csv", "x/?.csv"]) == ["c.csv", "x/a.csv"]
    assert split_of(names, data_files={"train": "x/y/[ab].csv"}) == ["x/y/b.csv"]
    assert split_of(names, data_dir="x") == ["x/a.csv", "x/y/b.csv"]
    assert split_of(names, data_dir="x", data_files="*.csv") == ["x/a.csv"]


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co/datasets/ada/poems",
        "https://huggingface.co/datasets/ada/poems/viewer/default/train?row=3",
        " https://hf.co/datasets/ada/poems/ ",
        "hf://datasets/ada/poems",
        "ada/poems",
    ],
)
def test_the_address_of_a_page_names_its_dataset(address: str) -> None:
    assert parse_hub_id(address) == "ada/poems"
    assert (
        parse_hub_id("https://elsewhere.example/datasets/ada/poems") == "https://elsewhere.example/datasets/ada/poems"
    )


def test_what_lies_here_under_an_id_is_named_where_the_hub_has_none(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ada" / "missing").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no dataset ada/missing on the Hub.*write \./ada/missing"):
        read_dataset("ada/missing")

"""Which base a name means: the built-in one, a folder, or an id on the Hub, and never one in another's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.models.base import BUILTIN_ID, BaseSource, load_tokenizer, name_of, resolve


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "owner" / "name"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return made


def test_a_folder_called_like_an_id_is_loaded_only_as_a_path(folder: Path) -> None:
    with pytest.raises(UserError, match="also a folder where the studio was started"):
        resolve("owner/name")
    assert resolve("./owner/name") == BaseSource(str(folder), str(folder), local=True)
    assert resolve("owner/other") == BaseSource("owner/other", "owner/other", local=False)
    assert resolve("builtin").id == BUILTIN_ID


@pytest.mark.parametrize("name", ["./nothing", "a/b/c", "", "no base!"])
def test_what_is_neither_is_told(name: str) -> None:
    with pytest.raises(UserError):
        resolve(name)


@pytest.mark.parametrize("written", ["./owner/name", "./owner/../owner/name/", "{folder}"])
def test_a_folder_is_called_by_its_own_name_and_never_by_its_path(folder: Path, written: str) -> None:
    written = written.format(folder=folder)
    assert resolve(written).name == name_of(written) == "name"


def test_every_other_base_is_called_by_its_id() -> None:
    for written, name in (("builtin", BUILTIN_ID), ("owner/other", "owner/other"), ("gpt2", "gpt2")):
        assert resolve(written).name == name_of(written) == name


def test_what_a_library_says_of_a_broken_base_names_no_folder(folder: Path) -> None:
    with pytest.raises(UserError, match="The base name could not be loaded") as failure:
        load_tokenizer(resolve("./owner/name"))
    assert str(folder) not in str(failure.value)
    assert str(folder.parent) not in str(failure.value)

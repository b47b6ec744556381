"""Zips that are not what they seem: links, names that lead elsewhere, more inside than they say."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.recipes.trl_config import from_trl
from studio.adapters_page import upload
from tests.adapters.folders import write_adapter
from tests.studio.conftest import files_beneath


@pytest.fixture
def store(home: Home) -> AdapterStore:
    return AdapterStore(home.adapters)


def archive(tmp_path: Path) -> Path:
    """A zip of a good adapter."""
    path = tmp_path / "evil.zip"
    folder = write_adapter(tmp_path / "good")
    with zipfile.ZipFile(path, "w") as made:
        for file in folder.iterdir():
            if file.is_file():
                made.write(file, file.name)
    return path


def added(path: Path, name: str | zipfile.ZipInfo, content: bytes) -> Path:
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["README.md", "adapter_model.safetensors", "notes.txt"])
def test_a_link_in_a_zip_is_refused(store: AdapterStore, tmp_path: Path, name: str) -> None:
    link = zipfile.ZipInfo(name)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="is a link"):
        upload.import_upload(store, [added(archive(tmp_path), link, b"/etc/passwd")], "x")
    assert files_beneath(store.root) == set()


@pytest.mark.parametrize(
    "name", ["../escaped.json", "../../adapter_config.json", "/tmp/escaped", "tensorboard/../../escaped", "..\\escaped"]
)
def test_names_in_a_zip_lead_nowhere_else(store: AdapterStore, tmp_path: Path, name: str) -> None:
    before = {name for name in files_beneath(tmp_path) if "good" not in name}
    path = added(archive(tmp_path), name, b"{}")
    upload.import_upload(store, [path], "x")
    after = {name for name in files_beneath(tmp_path) if "good" not in name}
    new = {name for name in after - before if not name.startswith("home/adapters/x")}
    assert new == {"evil.zip"}
    assert not Path("/tmp/escaped").exists()


def test_of_a_zip_only_an_adapters_files_are_taken(store: AdapterStore, tmp_path: Path) -> None:
    path = archive(tmp_path)
    for name in ("training_args.bin", "run.py", ".bashrc", "adapter_model.bin", "studio.json"):
        added(path, name, b"evil")
    upload.import_upload(store, [path], "x")
    assert not {"training_args.bin", "run.py", ".bashrc", "adapter_model.bin"} & files_beneath(store.path("x"))
    assert store.get("x").name == "x"


def test_what_would_fill_the_disk_is_refused(
    store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_BYTES", 100)
    with pytest.raises(UserError, match="larger than"):
        upload.import_upload(store, [archive(tmp_path)], "x")


def test_a_zip_that_says_less_than_it_holds_is_refused(store: AdapterStore, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("adapter_config.json", b"{}")
        made.writestr("README.md", b"x" * 10_000_000)
    content = path.read_bytes().replace(struct.pack("<I", 10_000_000), struct.pack("<I", 10))
    path.write_bytes(content)
    with pytest.raises(UserError):
        upload.import_upload(store, [path], "x")
    assert files_beneath(store.root) == set()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x00" * 1000])
def test_what_is_no_zip_is_said_to_be_none(store: AdapterStore, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(UserError):
        upload.import_upload(store, [path], "x")


def test_zips_with_no_or_several_adapters_are_refused(store: AdapterStore, tmp_path: Path) -> None:
    empty = tmp_path / "empty.zip"
    empty.write_bytes(b"")
    with zipfile.ZipFile(empty, "w") as made:
        made.writestr("a/README.md", b"")
    with pytest.raises(UserError, match="holds no PEFT adapter"):
        upload.import_upload(store, [empty], "x")
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as made:
        made.writestr("a/adapter_config.json", b"{}")
        made.writestr("b/adapter_config.json", b"{}")
    path = tmp_path / "two.zip"
    path.write_bytes(two.getvalue())
    with pytest.raises(UserError, match="several adapters"):
        upload.import_upload(store, [path], "x")


def bomb() -> str:
    """A few hundred bytes of YAML that would be a thousand million words."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize("setting", ["dataset_name: *i", "run_name: *i", "max_steps: *i", "lora_target_modules: *i"])
def test_a_recipe_cannot_become_larger_than_it_is(setting: str) -> None:
    for read in (Recipe.from_yaml, from_trl):
        with pytest.raises(UserError, match="aliases"):  # without the check its own error message fills the memory
            read(f"dataset_name: pirate\n{bomb()}\n{setting}")


@pytest.mark.parametrize(
    "text", ["max_steps: " + "9" * 5_000, "max_steps: " + "[" * 5_000, "!!python/object/apply:os.system ['id']"]
)
def test_a_recipe_that_cannot_be_read_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(UserError, match="not valid YAML"):
        Recipe.from_yaml(f"dataset_name: pirate\n{text}")

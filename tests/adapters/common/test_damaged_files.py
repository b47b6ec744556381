"""Damaged files are set aside with their reason, and nothing else is."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.common import damaged_files

DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder": (lambda path: path.mkdir(), "a folder"),
    "a pipe": (lambda path: os.mkfifo(path), "a pipe"),
    "a link to nothing": (lambda path: path.symlink_to("/nowhere/at/all"), "link to nothing"),
    "a link to itself": (lambda path: path.symlink_to(path), "Too many levels"),
    "binary garbage": (lambda path: path.write_bytes(bytes(range(147, 256))), "utf-8"),
    "cut off": (lambda path: path.write_text('{"names": ["a", '), "Expecting value"),
    "empty": (lambda path: path.write_bytes(b""), "Expecting value"),
    "another type": (lambda path: path.write_text("[]"), "list indices"),
    "a field less": (lambda path: path.write_text("{}"), "'names' is missing"),
    "nested deeply": (lambda path: path.write_text("[" * 100_000), "recursion"),
    "huge": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), damaged_files.LARGEST + 1), "bytes"),
}


def names(content: bytes) -> list[str]:
    return list(json.loads(content)["names"])


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_set_aside_with_its_reason_and_is_still_there(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "names.json"
    damage, reason = DAMAGE[kind]
    damage(path)
    before = path.lstat()
    assert damaged_files.read(path, names) is None
    assert not os.path.lexists(path)
    (found,) = damaged_files.find_damaged(tmp_path)
    assert found.original_name == "names.json" and reason in found.reason
    assert found.path.parent == tmp_path and os.path.samestat(found.path.lstat(), before)
    assert damaged_files.read(path, names) is None and len(caplog.records) == 1, "it is said once"
    assert str(found) in caplog.text


def test_a_whole_file_is_read_and_one_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"names": ["a"]}')
    (tmp_path / "link.json").symlink_to("names.json")
    assert (
        damaged_files.read(tmp_path / "names.json", names) == damaged_files.read(tmp_path / "link.json", names) == ["a"]
    )
    assert damaged_files.read(tmp_path / "none.json", names) is None
    assert damaged_files.read(tmp_path / "names.json" / "none.json", names) is None
    assert not list(damaged_files.find_damaged(tmp_path))


def test_what_is_not_the_files_fault_leaves_it_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "names.json"
    path.write_text('{"names": []}')

    def refused(*given: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OSError, match="Too many open files"):
        damaged_files.read(path, names)
    assert path.exists()


def test_a_whole_file_that_has_just_replaced_the_damaged_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text("damaged")

    def replaced_meanwhile(content: bytes) -> list[str]:
        (tmp_path / "new").write_text('{"names": ["a"]}')
        (tmp_path / "new").replace(path)
        return names(content)

    assert damaged_files.read(path, replaced_meanwhile) is None
    assert damaged_files.read(path, names) == ["a"]


def test_two_of_one_name_and_second_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    for content in ("one", "two"):
        path.write_text(content)
        assert damaged_files.read(path, names) is None
    assert {damaged.path.read_text() for damaged in damaged_files.find_damaged(tmp_path)} == {"one", "two"}


def test_room_is_made_for_a_file_that_is_written_and_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "log.txt").mkdir()
    (tmp_path / "votes").write_text("a file")
    (tmp_path / "kept.txt").write_text("kept")
    damaged_files.ensure_plain(tmp_path / "log.txt").write_text("line")
    assert damaged_files.ensure_folder(tmp_path / "votes").is_dir()
    assert damaged_files.ensure_plain(tmp_path / "kept.txt").read_text() == "kept"
    assert stat.S_ISREG((tmp_path / "log.txt").lstat().st_mode)
    assert [damaged.original_name for damaged in damaged_files.find_damaged(tmp_path)] == ["log.txt", "votes"]


def test_what_cannot_be_renamed_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "names.json"
    path.write_text("damaged")

    def refused(*given: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refused)
    assert damaged_files.read(path, names) is None and damaged_files.read(path, names) is None
    assert [record.message for record in caplog.records] == [
        f"{path} is damaged (Expecting value: line 1 column 1 (char 0)) and cannot be set aside: Read-only file system."
    ]

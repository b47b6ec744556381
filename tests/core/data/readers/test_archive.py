"""Gzip, zip, folders and several files: read as they are, and refused where they are made to do harm."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from adapters.common.errors import UserError
from core.data import CheckedDataset, read_dataset
from core.data.check import DatasetChecker
from core.data.load import files_source, open_source
from core.data.readers import archive
from tests.core.data.readers.test_files import ROWS, lines, pairs, table


def make_archive(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def read(path: Path) -> CheckedDataset:
    return read_dataset(str(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", lines(ROWS)),
        ("A.JSON.GZ", json.dumps({"data": ROWS})),
        ("a.csv.gz", b"\xef\xbb\xbf" + table(ROWS).encode()),
        ("a.tsv.gz", table(ROWS, "\t")),
    ],
)
def test_gzipped_files_are_read_like_plain_ones(tmp_path: Path, name: str, content: str | bytes) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content if isinstance(content, bytes) else content.encode()))
    dataset = read(tmp_path / name)
    assert pairs(dataset) == ROWS
    assert (dataset.problems, dataset.notes, dataset.name.lower()) == ([], [], "a")


def test_gzipped_latin_1_is_said(tmp_path: Path) -> None:
    rows = [{"prompt": "Où?", "completion": "Là-bas"}]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(table(rows).encode("cp1252")))
    dataset = read(tmp_path / "a.csv.gz")
    assert pairs(dataset) == rows and "a.csv.gz: The file is not UTF-8" in dataset.notes[0].what


def test_the_files_of_a_zip_archive_are_one_dataset(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "data/b.jsonl": lines(ROWS[2:]),
        "data/a.jsonl": lines(ROWS[:2]),
        "__MACOSX/data/._a.jsonl": b"\0",
    }
    dataset = read(make_archive(tmp_path / "talks.zip", {**files, "data/.DS_Store": b"\0", "LICENSE.txt": "free"}))
    assert pairs(dataset) == ROWS
    assert [conversation.row for conversation in dataset.conversations] == [1, 2, 3]
    assert [note.what for note in dataset.notes] == ["Of talks.zip 2 files were read, and not LICENSE.txt."]


def test_parquet_in_a_zip_archive(tmp_path: Path) -> None:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    assert pairs(read(make_archive(tmp_path / "a.zip", {"a.parquet": file.getvalue()}))) == ROWS


def test_splits_by_name_in_a_folder_and_in_an_archive(tmp_path: Path) -> None:
    files = {"train.jsonl": lines(ROWS[:2]), "test.jsonl": lines(ROWS[2:])}
    folder = tmp_path / "talks"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    for path in (folder, make_archive(tmp_path / "talks.zip", dict(files))):
        assert pairs(read(path)) == ROWS[:2]
        assert "and not test.jsonl" in read(path).notes[0].what
        assert pairs(read_dataset(str(path), split="test")) == ROWS[2:]
        with pytest.raises(UserError, match=r"no split 'dev'.*train, test"):
            read_dataset(str(path), split="dev")


def test_a_folder_does_not_reach_outside(tmp_path: Path) -> None:
    (tmp_path / "outside.jsonl").write_text(lines(ROWS))
    folder = tmp_path / "talks"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.jsonl").write_text(lines(ROWS[:1]))
    (folder / "b.jsonl").symlink_to(tmp_path / "outside.jsonl")
    (folder / "c").symlink_to(tmp_path)
    dataset = read(folder)
    assert pairs(dataset) == ROWS[:1]
    assert "Links out of the folder were not read: b.jsonl" in dataset.notes[0].what


def test_several_files_are_one_dataset(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.csv.gz"
    first.write_text(lines(ROWS[:1]))
    second.write_bytes(gzip.compress(table(ROWS[1:]).encode()))
    source = files_source([first, second])
    scan = DatasetChecker(source.rows())
    assert [conversation.row for conversation in scan] == [1, 2, 3]
    assert source.sha256 != files_source([second, first]).sha256


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.jsonl": "{}", "b.csv": "a"}, r"several kinds \(.csv, .jsonl\)"),
        ({"a.jsonl": "{}", "more.zip": b"PK"}, "another archive, 'more.zip'"),
        ({"a.jsonl.gz": b"\x1f\x8b"}, "another archive"),
        ({"a.txt": "words"}, "no data file in bad.zip: it holds a.txt"),
        ({}, "no data file in bad.zip"),
        ({f"{index}.jsonl": "" for index in range(1001)}, "1,001 files"),
        ({"a.jsonl": b" " * (1 << 25)}, "200 times its size"),
    ],
)
def test_archives_that_are_refused(tmp_path: Path, files: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(make_archive(tmp_path / "bad.zip", files))
    assert caught.value.remedy


def test_two_files_of_one_name_in_an_archive_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jsonl", lines(ROWS[:1]))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.jsonl", lines(ROWS[1:]))
    with pytest.raises(UserError, match=r"several files called .a\.jsonl."):
        read(tmp_path / "a.zip")


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.jsonl")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=r"holds a link, 'a.jsonl'"):
        read(tmp_path / "a.zip")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.zip", {"a.jsonl": lines(ROWS)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is encrypted"):
        read(path)


@pytest.mark.slow
def test_a_gzip_bomb_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * (1 << 28)))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"bomb.jsonl.gz unpacks to more than 200 times its size"):
        read(tmp_path / "bomb.jsonl.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 26


def test_the_size_that_an_archive_claims_is_not_believed(tmp_path: Path) -> None:
    """A zip whose directory says 100 bytes for a member that holds 32 MiB gives 100 bytes or an error, never more."""
    path = make_archive(tmp_path / "a.zip", {"a.jsonl": b" " * (1 << 25)})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 100)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be unpacked|only blank lines"):
        read(path)


def test_the_absolute_limit_holds_for_what_unpacks_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_DECOMPRESSED", 1000)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(os.urandom(3000).hex().encode()))
    with pytest.raises(UserError, match="more than is unpacked here"):
        read(tmp_path / "a.jsonl.gz")


@pytest.mark.parametrize("cut", [20, 60])
def test_damaged_archives_are_explained(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(ROWS * 100).encode())[:cut])
    with pytest.raises(UserError, match=r"a.jsonl.gz cannot be unpacked"):
        read(tmp_path / "a.jsonl.gz")
    path = make_archive(tmp_path / "a.zip", {"a.jsonl": lines(ROWS * 100)})
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match="cannot be read as a zip archive"):
        read(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_damaged_is_explained(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", packing) as file:
        file.writestr(
            "a.jsonl", "".join(lines([{"prompt": os.urandom(20).hex(), "completion": "x"}]) for _ in range(99))
        )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip/a\.jsonl cannot be unpacked"):
        read(path)


def test_a_member_packed_in_a_way_that_is_not_known_is_explained(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.zip", {"a.jsonl": lines(ROWS)})
    content = bytearray(path.read_bytes())
    for at in (8, content.index(b"PK\x01\x02") + 10):
        content[at] = 96
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip/a\.jsonl cannot be unpacked: That compression method"):
        read(path)


def opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "wt", compresslevel=1, encoding="utf-8")
    return path.open("w", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["big.jsonl", "big.jsonl.gz", "big.csv"])
def test_a_large_file_is_scanned_in_bounded_memory(tmp_path: Path, name: str) -> None:
    """12 MiB of rows; a number a row and the sample of the first thousand rows is all that may stay."""
    with opened(tmp_path / name) as file:
        if name.endswith(".csv"):
            file.write("prompt,completion\n")
        for index in range(4_000):
            answer = f"{index} " + os.urandom(1_500).hex()
            file.write(
                f"q{index},{answer}\n"
                if name.endswith(".csv")
                else lines([{"prompt": f"q{index}", "completion": answer}])
            )
    source = open_source(str(tmp_path / name))
    tracemalloc.start()
    count = sum(1 for _ in DatasetChecker(source.rows()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4_000
    assert peak < 8 << 20

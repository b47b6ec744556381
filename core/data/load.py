"""A name to a dataset: a bundled sample, a file, or an id on the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.data import hub
from core.data.check import Scan
from core.data.files import check_file, encoding_notes, hash_files, is_data_file, read_rows
from core.data.records import CheckedDataset, Problem, Row, SourceKind
from core.errors import UserError


@dataclass(frozen=True)
class Source:
    """Files that together are one dataset, found but not yet read."""

    name: str
    kind: SourceKind
    paths: list[Path]
    revision: str | None = None
    license: str | None = None
    notes: list[Problem] = field(default_factory=list)

    def rows(self) -> Iterator[Row]:
        return read_rows(self.paths)


def read_dataset(
    name_or_path_or_hub_id: str,
    *,
    dataset_format: str | None = None,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    token: str | None = None,
) -> CheckedDataset:
    """Read a dataset from end to end; row problems are in the result. Raises UserError only if nothing can be read."""
    source = open_source(name_or_path_or_hub_id, config=config, split=split, revision=revision, token=token)
    scan = Scan(source.rows(), dataset_format)
    conversations = list(scan)
    return CheckedDataset(
        name=source.name,
        source=source.kind,
        format=scan.format.name,
        evidence=scan.evidence,
        rows=scan.rows,
        conversations=conversations,
        problems=scan.problems,
        notes=source.notes + scan.notes,
        sha256=hash_files(source.paths),
        revision=source.revision,
        license=source.license,
    )


def open_source(
    name: str, *, config: str | None = None, split: str = "train", revision: str | None = None, token: str | None = None
) -> Source:
    """Find what `name` means: a file, a bundled sample, or a Hub id (which is downloaded). Raises UserError.

    A local file or folder that happens to be called like a Hub id is never read in its place: a path ends like a data
    file, or begins with / . or ~.
    """
    if is_data_file(name) or name.startswith(("/", ".", "~")):
        return file_source(Path(name).expanduser())
    from core.builtin import SAMPLES

    if name in SAMPLES:
        return Source(name, "bundled", [Path(SAMPLES[name].path)])
    if hub.is_hub_id(name):
        files = hub.fetch(name, config=config, split=split, revision=revision, token=token)
        return Source(name, "hub", files.paths, files.revision, files.license, notes_on(files.paths))
    raise UserError(
        f"There is no dataset called {name!r}.",
        f"Give a bundled sample ({', '.join(SAMPLES)}), a file, or a Hub id (owner/name).",
    )


def file_source(path: Path) -> Source:
    check_file(path)
    return Source(path.stem, "file", [path], notes=notes_on([path]))


def notes_on(paths: list[Path]) -> list[Problem]:
    return [Problem(None, said, "Save the file as UTF-8 if they are not.") for said in encoding_notes(paths)]

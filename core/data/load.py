"""A name to a dataset: a bundled sample, files, a folder, or an id on the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from adapters.common.errors import UserError
from adapters.common.files import expanded
from core.data import hub
from core.data.cache import CheckedRows, RowsKey, read_once
from core.data.check import DatasetChecker
from core.data.column_mapping import parse_columns
from core.data.dataset import CheckedDataset, DatasetRow, Problem, SourceKind
from core.data.provenance import Origin, read_origin
from core.data.readers.archive import ZIP, DataFile, is_clutter, kind_of_name, list_members
from core.data.readers.files import check_file, encoding_notes, hash_files, is_data_file, path_exists, read_rows

FILE_KINDS_HINT = "Give JSON, JSON Lines, CSV, TSV or Parquet files."


@dataclass(frozen=True)
class Source:
    """Files that together are one dataset, found but not yet read."""

    name: str
    kind: SourceKind
    files: list[DataFile]
    revision: str | None = None
    license: str | None = None
    notes: list[Problem] = field(default_factory=list)
    origin: Origin | None = None

    def rows(self, columns: str | None = None) -> Iterator[DatasetRow]:
        """columns: as for DatasetChecker, which the rows are meant for."""
        return read_rows(self.files, parse_columns(columns).values())

    @property
    def paths(self) -> list[Path]:
        """Each file on the disk once; an archive may hold several files of rows."""
        return list(dict.fromkeys(file.path for file in self.files))

    @property
    def sha256(self) -> str:
        return hash_files(self.paths)


def read_dataset(
    name_or_path_or_hub_id: str,
    *,
    dataset_format: str | None = None,
    columns: str | None = None,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    token: str | None = None,
) -> CheckedDataset:
    """Read a dataset from end to end; row problems are in the result. Raises UserError only if nothing can be read.

    columns: which columns stand for the known ones, as in core.data.column_mapping: question=Frage,answer=Antwort.
    """
    source = open_source(name_or_path_or_hub_id, config=config, split=split, revision=revision, token=token)
    rows, sha256 = read_once(
        lambda: RowsKey(source.sha256, tuple(file.name for file in source.files), dataset_format, columns),
        sum(path.stat().st_size for path in source.paths),
        lambda: check_rows(source, dataset_format, columns),
    )
    changed = []
    if source.origin and source.origin.sha256 != sha256:
        licence = source.license if source.origin.source == "file" else None  # said by whoever changed them
        name = source.files[0].path.parent.name
        source = replace(source, name=name, kind="file", revision=None, license=licence)
        changed = [Problem(None, "Its files were changed after they were imported; it is taken for a file.", "")]
    return CheckedDataset(
        name=source.name,
        source=source.kind,
        format=rows.format,
        evidence=rows.evidence,
        rows=rows.rows,
        conversations=list(rows.conversations),
        problems=list(rows.problems),
        notes=[*changed, *source.notes, *rows.notes],
        sha256=sha256,
        revision=source.revision,
        license=source.license,
        columns=list(rows.columns),
    )


def check_rows(source: Source, dataset_format: str | None, columns: str | None) -> CheckedRows:
    """Raises UserError if nothing can be read."""
    checker = DatasetChecker(source.rows(columns), dataset_format, columns)
    conversations = tuple(checker)
    return CheckedRows(
        checker.format.name,
        checker.evidence,
        checker.rows,
        conversations,
        tuple(checker.problems),
        tuple(checker.notes),
        tuple(checker.columns),
    )


def open_source(
    name: str, *, config: str | None = None, split: str = "train", revision: str | None = None, token: str | None = None
) -> Source:
    """Find what `name` means: a file or folder, a bundled sample, or a Hub id (which is downloaded). Raises UserError.

    A local file or folder that happens to be called like a Hub id is never read in its place (see is_path).
    """
    name = hub.parse_hub_id(name)
    if is_path(name):
        return local_source(expanded(name), split)
    from core.data.samples import SAMPLES

    if name in SAMPLES:
        return Source(name, "bundled", [DataFile(Path(SAMPLES[name].path))], license="apache-2.0")  # the project's
    if hub.is_hub_id(name):
        try:
            return hub_source(name, config=config, split=split, revision=revision, token=token)
        except UserError as error:
            if not path_exists(Path(name)):
                raise
            here = f"If you mean what lies here under that name, write ./{name}."
            raise UserError(error.message, f"{error.remedy} {here}") from error
    if name.strip() and path_exists(Path(name)):  # no id, so nothing else can be meant
        return local_source(Path(name), split)
    raise UserError(
        f"There is no dataset called {name!r}.",
        f"Give a bundled sample ({', '.join(SAMPLES)}), a file, a folder (./name), or a Hub id (owner/name).",
    )


def hub_source(
    repo_id: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    token: str | None = None,
) -> Source:
    """A dataset on the Hub, downloaded, whatever lies on this machine under its name. Raises UserError."""
    found = hub.download_split(repo_id, config=config, split=split, revision=revision, token=token)
    files, notes = list_data_files(found.paths, split)
    return Source(repo_id, "hub", files, found.revision, found.license, notes)


def is_on_hub(name: str) -> bool:
    """Whether open_source would look for it on the Hub, and nowhere else."""
    return hub.is_hub_id(name) and not is_path(name)


def is_path(name: str) -> bool:
    """Whether a dataset's name is read from this machine: it ends like a data file, or begins with / . or ~."""
    return is_data_file(name) or name.startswith(("/", ".", "~"))


def files_source(paths: list[Path], split: str = "train") -> Source:
    """Several files, or folders of such, as one dataset. Raises UserError."""
    if len(paths) == 1:
        return local_source(paths[0], split)
    sources = [local_source(path, split) for path in paths]
    notes = [note for source in sources for note in source.notes]
    return Source(
        f"{paths[0].stem}-and-{len(paths) - 1}-more", "file", [f for s in sources for f in s.files], notes=notes
    )


def local_source(path: Path, split: str = "train") -> Source:
    if path_exists(path) and path.is_dir():
        origin = read_origin(path)
        paths, notes = list_folder(path, split)
        files, more = list_data_files(paths, split)
        return with_origin(Source(path.resolve().name, "file", files, notes=notes + more), origin)
    check_file(path)
    files, notes = list_data_files([path], split)
    stem = path.name.split(".")[0] or path.stem
    # The home folder keeps a dataset's only file as <name>/data.jsonl.
    name = path.resolve().parent.name if stem == "data" else stem
    return with_origin(Source(name, "file", files, notes=notes), read_origin(path.parent) if stem == "data" else None)


def with_origin(source: Source, origin: Origin | None) -> Source:
    """What the card of an imported dataset says of its files (see core.data.store)."""
    if origin is None:
        return source
    return replace(
        source,
        name=origin.name,
        kind=origin.source,
        revision=origin.revision,
        license=origin.license,
        origin=origin,
    )


def list_folder(folder: Path, split: str) -> tuple[list[Path], list[Problem]]:
    """Its data files, sorted; what lies outside and is only linked to is not read, and noted. Raises UserError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    inside = [file for file in files if file.resolve().is_relative_to(folder.resolve())]
    names = [file.relative_to(folder).as_posix() for file in inside]
    chosen, notes = select_split(folder.name, names, split)
    for name in chosen:
        check_file(folder / name)
    linked = [file.name for file in files if file not in inside]
    if linked:
        notes.append(
            Problem(None, f"Links out of the folder were not read: {', '.join(linked[:5])}.", "Copy the files.")
        )
    return [folder / name for name in chosen], notes


def list_data_files(paths: list[Path], split: str) -> tuple[list[DataFile], list[Problem]]:
    """The files of rows in `paths`, those in zip archives among them; and notes on what was passed over, or decoded."""
    files, notes = [], []
    for path in paths:
        if path.suffix.lower() != ZIP:
            files.append(DataFile(path))
            continue
        chosen, left_out = select_split(path.name, list_members(path), split)
        files += [DataFile(path, member) for member in chosen]
        notes += left_out
    noted = [Problem(None, note, "Save the file as UTF-8 to be sure.") for note in encoding_notes(files)]
    return files, notes + noted


def select_split(where: str, names: list[str], split: str) -> tuple[list[str], list[Problem]]:
    """Of the files in a folder or an archive those that make up the split, and notes on the others."""
    names = [name for name in names if not is_clutter(name)]
    data = [name for name in names if is_data_file(name) and PurePosixPath(name).name not in hub.NOT_DATA]
    if not data:
        held = f": it holds {', '.join(names[:5])}" if names else ""
        raise UserError(f"There is no data file in {where}{held}.", FILE_KINDS_HINT)
    splits = hub.splits_by_name(data)
    if split not in splits:
        raise UserError(f"{where} has no split {split!r}.", f"Its splits: {', '.join(splits)}.")
    chosen = splits[split]
    kinds = sorted({kind_of_name(name) for name in chosen})
    if len(kinds) > 1:
        raise UserError(
            f"{where} holds files of several kinds ({', '.join(kinds)}), perhaps the same rows twice.",
            "Keep one kind, or give the files themselves.",
        )
    left_out = [name for name in names if name not in chosen and PurePosixPath(name).name not in hub.NOT_DATA]
    if not left_out:
        return chosen, []
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    read = f"Of {where} {len(chosen)} {'file was' if len(chosen) == 1 else 'files were'} read, and not "
    return chosen, [Problem(None, f"{read}{', '.join(left_out[:5])}{more}.", "")]

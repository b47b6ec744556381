"""Where the files of an imported dataset came from: a small JSON file beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from adapters.common.files import write_atomic
from core.common.json_records import read_record
from core.data.dataset import SourceKind

CARD_FILE = "dataset-card.json"


@dataclass(frozen=True)
class Origin:
    """`name` as people know it: a Hub id, or the uploaded file's. `files` as they were called there.

    sha256: over all files in order, as CheckedDataset has it. split, config and revision are the Hub's.
    license: the Hub's, or what a person said of their own. dataset_format, columns: how a person chose to read it, as a
    recipe's dataset_format and dataset_columns.
    """

    name: str
    source: SourceKind
    files: list[str]
    sha256: str
    imported: str
    revision: str | None = None
    license: str | None = None
    config: str | None = None
    split: str | None = None
    dataset_format: str | None = None
    columns: str | None = None


_ORIGIN = TypeAdapter(Origin)


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_origin(folder: Path, origin: Origin) -> None:
    write_atomic(folder / CARD_FILE, json.dumps(asdict(origin), ensure_ascii=False, indent=1) + "\n")


def read_origin(folder: Path) -> Origin | None:
    """None where there is none, or a damaged one, which is then set aside: the files can be read all the same."""
    return read_record(folder / CARD_FILE, _ORIGIN)

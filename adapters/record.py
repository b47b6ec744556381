"""What the studio knows about an adapter beyond its PEFT folder: one dataclass, kept as studio.json in that folder.

The file is written last, so a folder that has one is complete.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from adapters.common import damaged_files
from adapters.common.errors import UserError, shortened

RECORD_FILE = "studio.json"
RECORD_VERSION = 1
BUILTIN_ID = "guanaco-builtin"  # the base of adapters that were trained on the studio's own tiny base


def now() -> str:
    """The current time as it stands in records: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class DatasetRef:
    """The data an adapter was trained on, named well enough to be found again."""

    name: str
    source: str = ""  # "bundled", "file" or "hub"
    revision: str | None = None
    sha256: str | None = None
    conversations: int | None = None
    license: str | None = None


@dataclass
class HubRef:
    """Where on the Hub an adapter lies, and which commit of it this is."""

    repo_id: str
    revision: str


@dataclass
class SameBase:
    """A person's word that what an adapter was made on is a copy of the base `base`, and what its files said before."""

    base: str
    made_for: str
    said: str  # when: ISO 8601 in UTC
    fingerprint: str | None = None  # of `base`, where it is known
    made_for_fingerprint: str | None = None


@dataclass
class Sample:
    """One prompt answered by the base and by the adapter, for people to compare."""

    prompt: str
    base: str
    adapter: str


@dataclass
class AdapterRecord:
    """One adapter. What is not known (such as the loss of an adapter made elsewhere) is None."""

    name: str
    base_model: str
    base_fingerprint: str | None = None
    same_base: SameBase | None = None
    created: str = field(default_factory=now)
    run_id: str | None = None
    dataset: DatasetRef | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    train_loss: float | None = None
    eval_loss: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    lora_r: int | None = None
    lora_alpha: float | None = None
    target_modules: list[str] = field(default_factory=list)
    size_bytes: int = 0  # of the weights file
    hub: HubRef | None = None
    samples: list[Sample] = field(default_factory=list)
    note: str = ""
    tags: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {"version": RECORD_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AdapterRecord:
        """The inverse of to_dict. Raises UserError when a field is missing, unknown or of the wrong kind."""
        values = dict(values)
        version = values.pop("version", None)
        if version != RECORD_VERSION:
            raise UserError(
                f"{RECORD_FILE} has version {version!r}; this studio reads version {RECORD_VERSION}.",
                "Update the studio, or import the adapter's folder anew.",
            )
        unknown = sorted(set(values) - {known.name for known in fields(cls)})
        if unknown:
            raise UserError(
                f"{RECORD_FILE} has fields that this studio does not know: {', '.join(unknown)}.",
                "Update the studio, or import the adapter's folder anew.",
            )
        try:
            if values.get("dataset") is not None:
                values["dataset"] = DatasetRef(**values["dataset"])
            if values.get("hub") is not None:
                values["hub"] = HubRef(**values["hub"])
            if values.get("same_base") is not None:
                values["same_base"] = SameBase(**values["same_base"])
            values["samples"] = [Sample(**sample) for sample in values.get("samples", [])]
            record = cls(**values)
        except TypeError as error:
            raise UserError(f"{RECORD_FILE} is not a record: {error}.", "Import the adapter's folder anew.") from error
        for part in (record, record.dataset, record.hub, record.same_base, *record.samples):
            _check_kinds(part)
        return record

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> AdapterRecord:
        """The record of the adapter in `folder`. Raises UserError when it is missing or broken; if damaged, it is set
        aside.
        """
        values = damaged_files.read(folder / RECORD_FILE, _object)
        if values is not None:
            return cls.from_dict(values)
        if damaged := damaged_files.find_damaged_versions(folder / RECORD_FILE):
            raise UserError(f"{folder.name}/{damaged[-1].summary}.", "Adopt the folder, or import the adapter anew.")
        raise UserError(
            f"{folder.name} has no {RECORD_FILE}: it was never completed, or was put there by hand.",
            "Import it, or delete it.",
        )


def _object(content: bytes) -> dict[str, Any]:
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    return values


def _check_kinds(part: Any) -> None:
    """Refuse values of another kind than the fields', since records also come from strangers' cards."""
    if part is None:
        return
    hints = get_type_hints(type(part))
    for known in fields(part):
        hint = hints[known.name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        kinds = tuple(get_origin(kind) or kind for kind in kinds)
        value = getattr(part, known.name)
        fits = isinstance(value, (*kinds, int) if float in kinds else kinds) and not isinstance(value, bool)
        if known.name in ("target_modules", "tags"):
            fits = fits and all(isinstance(item, str) for item in value)
        if isinstance(value, int):
            fits = fits and abs(value) < 2**63  # what a stranger makes longer, nothing can show or calculate with
        if known.name == "seconds" and value is not None:
            fits = fits and math.isfinite(value)
        if not fits:
            raise UserError(
                f"{RECORD_FILE}: {known.name} cannot be {shortened(value)}.", "Import the adapter's folder anew."
            )

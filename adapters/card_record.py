"""The record of an adapter inside its model card: written into the front matter at a push, read back by an import."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from adapters.bases import to_shareable_id
from adapters.common import safe_yaml
from adapters.common.errors import UserError
from adapters.folder_layout import CARD_FILE
from adapters.record import RECORD_VERSION, AdapterRecord

FRONT_MATTER_KEY = "guanaco_studio"  # where a card keeps what `read_card` needs to restore the record
_RESTORED = (
    "base_fingerprint", "created", "dataset", "recipe", "steps", "train_loss", "eval_loss", "tokens", "seconds",
    "peak_memory_bytes", "samples", "note", "tags",
)  # fmt: skip
MAX_CARD = 1_000_000  # bytes; a larger one is not read
MAX_RECORD = 100_000  # characters; a stranger's record of an adapter is shown on everybody's page


def record_for_card(record: AdapterRecord) -> dict[str, Any]:
    """What a card keeps of the record under FRONT_MATTER_KEY: nothing of this machine, nothing that is not known."""
    facts = asdict(record)
    restored = {key: facts[key] for key in _RESTORED if facts[key] not in (None, "", [], {})}
    return {"version": RECORD_VERSION, "base_model": to_shareable_id(record.base_model), **restored}


def read_card(text: str, name: str) -> AdapterRecord | None:
    """The record that a card keeps; None for a card that no studio has written.

    Raises UserError when there is one that cannot be read. Cards come from strangers: nothing in it is trusted.
    """
    match = re.match(r"---\n(.*?\n)---\n", text.replace("\r\n", "\n"), re.DOTALL)
    if match is None:
        return None
    try:
        values = safe_yaml.load(match[1])
    except yaml.YAMLError as error:
        raise UserError(f"The card's front matter cannot be read: {error}.") from error
    kept = values.get(FRONT_MATTER_KEY) if isinstance(values, dict) else None
    if not isinstance(kept, dict):
        return None
    known = {key: value for key, value in kept.items() if key in (*_RESTORED, "base_model", "version")}
    record = AdapterRecord.from_dict({**known, "name": name})
    try:
        size = len(record.to_json())
    except (TypeError, ValueError, RecursionError) as error:  # YAML has kinds of values that JSON has not
        raise UserError(f"The card's record cannot be kept: {error}.") from error
    if size > MAX_RECORD:
        raise UserError(f"The card's record has {size} characters, more than any adapter's.")
    return record


def record_from_card(folder: Path, name: str, base_model: str) -> AdapterRecord:
    """The record that the card in `folder` keeps, if a studio has written it; else one that knows only the base."""
    fresh = AdapterRecord(name, base_model)
    card = folder / CARD_FILE
    if not card.is_file() or card.stat().st_size > MAX_CARD:
        return fresh
    try:
        record = read_card(card.read_text(encoding="utf-8", errors="replace"), name)
    except UserError as error:
        return replace(fresh, note=f"Its card could not be read: {error}")
    return replace(record, base_model=base_model) if record else fresh

"""A dataset of the home folder, such as the answers kept from the chat, to the Hub as a dataset repository."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from markupsafe import Markup

from adapters.common.errors import UserError
from adapters.hub.dataset import LICENCES, DatasetFacts, push_dataset
from adapters.hub.repository import PushResult
from core.common.home import Home
from core.data import CheckedDataset, store


def find_own_dataset(home: Home, dataset_name: str) -> store.StoredDataset:
    """The dataset of this dataset_name, or in a folder called so. Raises UserError if it is not the owner's own."""
    stored = store.list_datasets(home)
    found = next((kept for kept in stored if dataset_name in (kept.dataset_name, kept.folder.name)), None)
    if found is None:
        names = ", ".join(kept.folder.name for kept in stored) or "none yet"
        raise UserError(f"{dataset_name!r} is no dataset of this home folder.", f"There are: {names}.")
    if found.origin and found.origin.source == "hub":
        raise UserError(f"{found.title} came from the Hub, and is its owners'.", "Push datasets of your own.")
    return found


def push_own_dataset(
    kept: store.StoredDataset,
    dataset: CheckedDataset,
    repo_id: str,
    *,
    private: bool = True,
    license: str | None = None,
    token: str | None = None,
    message: str | None = None,
) -> PushResult:
    """Upload `kept` as it was read: one row of `messages` per conversation. Raises UserError.

    Rows with problems stop it, since they would be missing without a word.
    """
    if dataset.problems:
        raise UserError(
            f"{len(dataset.problems)} of {dataset.rows} rows of {kept.title} cannot be converted.",
            "See them on the Data page, and mend or remove them first.",
        )
    licence, description = license or dataset.license, describe_origin(kept)
    if licence and not license and licence not in LICENCES:  # in somebody's own words, which the Hub has no id for
        licence, description = "other", description + Markup(" Their licence: {}.").format(licence)
    facts = DatasetFacts(len(dataset.conversations), dataset.turns, description, licence)
    with tempfile.TemporaryDirectory(prefix="guanaco-studio-") as folder:
        file = Path(folder) / "train.jsonl"
        write_jsonl(file, dataset)
        return push_dataset(file, facts, repo_id, private=private, token=token, message=message)


def write_jsonl(file: Path, dataset: CheckedDataset) -> None:
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(
            json.dumps(conversation.to_dict(), ensure_ascii=False) + "\n" for conversation in dataset.conversations
        )


def describe_origin(kept: store.StoredDataset) -> Markup:
    """A sentence for the card."""
    if kept.folder.name == store.COLLECTED:
        return Markup("They were kept, and where needed corrected, by people in Guanaco Studio's chat.")
    files = ", ".join(kept.origin.files[:3]) if kept.origin else kept.folder.name
    return Markup("They were converted by Guanaco Studio from {}.").format(files)

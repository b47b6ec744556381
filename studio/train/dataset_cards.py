"""Datasets to learn from, as cards to choose from: the bundled samples with a preview, and one's own datasets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import Message, open_source, read_dataset, store
from core.data.check import DatasetChecker
from core.data.samples import SAMPLES
from studio.data import offered_datasets
from studio.html.format import size
from studio.html.templating import render

READ_BYTES = 8 << 20  # an own dataset up to this size is read for its card
SHOWN_CHARACTERS = 300  # more than the lines that are shown hold


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, as the preview of a dataset."""

    question: str
    answer: str


@dataclass(frozen=True)
class DatasetCard:
    """`name` is a recipe's dataset_name."""

    name: str
    title: str
    about: str
    exchange: Exchange | None


def render_dataset_cards(home: Home, chosen: str | None, is_owner: bool = True) -> Markup:
    """`chosen` is a recipe's dataset_name. Own datasets are shown to the owner only."""
    cards = [
        DatasetCard(name, sample.title, sample.description.split(":")[0], sample_exchange(name))
        for name, sample in SAMPLES.items()
    ]
    for kept in store.list_datasets(home) if is_owner else ():
        cards.append(DatasetCard(kept.dataset_name, kept.title, f"your dataset, {size(kept.size)}", own_exchange(kept)))
    return render("train/dataset_cards.html", cards=cards, chosen=chosen)


@functools.cache
def sample_exchange(name: str) -> Exchange:
    """An exchange of a bundled sample that shows its manner: the first one about a capital. It is read no further."""
    conversations = DatasetChecker(open_source(name).rows(None))
    return first_exchange(next(each.messages for each in conversations if "capital" in each.messages[0]["content"]))


def own_exchange(kept: store.StoredDataset) -> Exchange | None:
    """The first exchange of an own dataset, read as it was the last time; none where that takes long or fails."""
    if kept.size > READ_BYTES:
        return None
    try:
        changed = max((file.stat().st_mtime_ns for file in kept.files), default=0)
    except OSError:  # it has just been deleted
        return None
    return _read_exchange(kept.dataset_name, *offered_datasets.format_of(kept), changed)


@functools.lru_cache(maxsize=64)
def _read_exchange(name: str, dataset_format: str, columns: str, changed: int) -> Exchange | None:
    """`changed` is a parameter so that a dataset that grows is read anew."""
    try:
        dataset = read_dataset(name, dataset_format=dataset_format or None, columns=columns or None)
    except UserError:  # the Data page says what is wrong with it
        return None
    return first_exchange(dataset.conversations[0].messages) if dataset.conversations else None


def first_exchange(messages: Sequence[Message]) -> Exchange:
    """The first question, and the first answer."""
    question = next((message["content"] for message in messages if message["role"] == "user"), "")
    answer = next((message["content"] for message in messages if message["role"] == "assistant"), "")
    return Exchange(question[:SHOWN_CHARACTERS], answer[:SHOWN_CHARACTERS])

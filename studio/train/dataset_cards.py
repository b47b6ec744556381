"""What there is to learn from, as cards to choose from: the bundled samples with a preview, and one's own datasets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from html import escape

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import Message, store
from core.data.samples import SAMPLES
from studio.data import offered_datasets
from studio.ui.format import size

READ_BYTES = 8 << 20  # an own dataset up to this size is read for its card
SHOWN_CHARACTERS = 300  # more than the lines that are shown hold


def cards(home: Home, chosen: str | None, owner: bool = True) -> str:
    """`chosen` is a recipe's dataset_name. Own datasets are shown to the owner only."""
    bundled = "".join(
        _card(name, sample.title, sample.description.split(":")[0], preview(name), name == chosen)
        for name, sample in SAMPLES.items()
    )
    own = ""
    for each in store.list_datasets(home) if owner else ():
        about = f"your dataset, {size(each.size)}"
        own += _card(each.dataset_name, each.title, about, own_preview(each), each.dataset_name == chosen)
    add = (
        '<a class="pick add" href="/?page=data" data-go><b>Your own data …</b>'
        "<small>Upload a file or name a dataset of the Hub, see what was understood, then train on it.</small></a>"
    )
    return f'<div class="picks">{bundled}{own}{add}</div>'


@functools.cache
def preview(name: str) -> str:
    """An exchange of a bundled sample that shows its manner: the first one about a capital."""
    from core.data import read_dataset

    talks = [each.messages for each in read_dataset(name).conversations]
    return _exchange(next((talk for talk in talks if "capital" in talk[0]["content"]), talks[0]))


def own_preview(kept: store.StoredDataset) -> str:
    """The first exchange of an own dataset, read as it was the last time; nothing where that takes long or fails."""
    if kept.size > READ_BYTES:
        return ""
    try:
        changed = max((each.stat().st_mtime_ns for each in kept.files), default=0)
    except OSError:  # it has just been deleted
        return ""
    return _first_exchange(kept.dataset_name, *offered_datasets.format_of(kept), changed)


@functools.lru_cache(maxsize=64)
def _first_exchange(name: str, dataset_format: str, columns: str, changed: int) -> str:
    """`changed` is there so that a dataset that grows is read anew."""
    from core.data import read_dataset

    try:
        found = read_dataset(name, dataset_format=dataset_format or None, columns=columns or None).conversations
    except UserError:  # the Data page says what is wrong with it
        return ""
    return _exchange(found[0].messages) if found else ""


def _exchange(messages: Sequence[Message]) -> str:
    """The first question, and the first answer."""
    asked = next((each["content"] for each in messages if each["role"] == "user"), "")
    said = next((each["content"] for each in messages if each["role"] == "assistant"), "")
    return (
        f'<span class="said-by user">{escape(asked[:SHOWN_CHARACTERS])}</span>'
        f'<span class="said-by bot">{escape(said[:SHOWN_CHARACTERS])}</span>'
    )


def _card(name: str, title: str, about: str, example: str, chosen: bool) -> str:
    return (
        f'<button class="pick" data-look="dataset" data-value="{escape(name)}" aria-pressed="{str(chosen).lower()}">'
        f"<b>{escape(title)}</b><small>{escape(about)}</small>{example}</button>"
    )

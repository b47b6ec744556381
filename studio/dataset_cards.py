"""What there is to learn from, as cards to choose from: the bundled samples with a preview, and one's own datasets."""

from __future__ import annotations

import functools
from html import escape

from core.builtin import SAMPLES
from core.data import store
from core.home import Home
from studio.present import size


def cards(home: Home, chosen: str | None, owner: bool = True) -> str:
    """`chosen` is a recipe's dataset_name. Own datasets are shown to the owner only."""
    bundled = "".join(
        _card(name, sample.title, sample.description.split(":")[0], preview(name), name == chosen)
        for name, sample in SAMPLES.items()
    )
    own = ""
    for each in store.kept(home) if owner else ():
        about = f"your dataset, {size(each.size)}"
        own += _card(each.dataset_name, each.title, about, "", each.dataset_name == chosen)
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
    first, second = next((talk for talk in talks if "capital" in talk[0]["content"]), talks[0])[:2]
    return (
        f'<span class="said-by user">{escape(first["content"])}</span>'
        f'<span class="said-by bot">{escape(second["content"])}</span>'
    )


def _card(name: str, title: str, about: str, example: str, chosen: bool) -> str:
    return (
        f'<button class="pick" data-look="dataset" data-value="{escape(name)}" aria-pressed="{str(chosen).lower()}">'
        f"<b>{escape(title)}</b><small>{escape(about)}</small>{example}</button>"
    )

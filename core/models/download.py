"""A Hub base's weights into the Hub's cache, saying how far it is. What a download before has left is gone on from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from adapters.hub.login import api_with, is_offline
from adapters.hub.source import Source, source_on_hub

INDEX_FILE, WHOLE_FILE = "model.safetensors.index.json", "model.safetensors"
GIB = 1 << 30


def fetch_weights(repo_id: str, revision: str | None, say: Callable[[str], None]) -> None:
    """Say "downloading the weights: 37 % of 2.91 GiB" until they are there; at once when the cache has them.

    Offline nothing is asked for. Raises what huggingface_hub raises; busy servers and cut connections are waited for.
    """
    if is_offline():
        return
    source = source_on_hub(api_with(None), repo_id, revision)
    names = weights_in(source)
    total = sum(source.files[name].size for name in names) or 1
    size_of_all = f"{total / GIB:.2f} GiB" if total >= GIB else f"{total / 2**20:.1f} MiB"
    before, reported = 0, -1

    def tell(done: float) -> None:
        nonlocal reported
        percent = int(100 * done / total)
        if percent != reported:
            reported = percent
            say(f"downloading the weights: {percent} % of {size_of_all}")

    for name in names:
        size, start = source.files[name].size, before

        def report(share: float, path: str, start: int = start, size: int = size) -> None:
            tell(start + share * size)

        source.fetch(name, report)
        before += size


def weights_in(source: Source) -> list[str]:
    """The files that transformers will want: those in the index, or the one; none where there are no safetensors."""
    if INDEX_FILE in source.files:
        index = json.loads(Path(source.fetch(INDEX_FILE, lambda share, path: None)).read_text())
        return sorted(set(index["weight_map"].values()) & set(source.files))
    return [WHOLE_FILE] if WHOLE_FILE in source.files else []

"""How far transformers is with a base's weights, reported through its own hook for progress bars."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

BAR = "Loading weights"  # what transformers calls its bar over a checkpoint's tensors


@contextmanager
def report_percent(phase: str, say: Callable[[str], None]) -> Iterator[None]:
    """Within the block say "`phase`: 37 %" with every percent of the tensors that are loaded, and quantised.

    A transformers that has no such bar says `phase` alone.
    """
    from transformers.utils import logging

    def hook(bar: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") != BAR or not args or not isinstance(args[0], Collection):
            return bar(*args, **kwargs)
        return counted(args[0])

    def counted(tensors: Collection[Any]) -> Iterator[Any]:
        reported = -1
        for number, tensor in enumerate(tensors):
            if (percent := 100 * number // len(tensors)) != reported:
                reported = percent
                say(f"{phase}: {percent} %")
            yield tensor

    say(phase)
    before = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)

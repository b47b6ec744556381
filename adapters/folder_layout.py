"""Which files make up an adapter's folder. Whatever is not named here is neither imported, pushed nor pulled."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
CARD_FILE = "README.md"
PLOT_FILE = "losses.png"  # drawn for the card at each push, and left on the Hub by a pull
TOKENIZER_FILES = frozenset(
    {
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
    }
)
_EVENTS = re.compile(r"tensorboard/events\.out\.tfevents\.[A-Za-z0-9._-]+")


def is_known(path: str) -> bool:
    """Whether `path`, relative to an adapter's folder and with forward slashes, belongs to an adapter."""
    named = path in (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE) or path in TOKENIZER_FILES
    return named or _EVENTS.fullmatch(path) is not None


def known_files(paths: Iterable[str]) -> list[str]:
    """Those of `paths` that belong to an adapter, sorted."""
    return sorted(path for path in paths if is_known(path))

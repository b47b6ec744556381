"""What a base's files say of it, without loading it and without torch: what adapters are compared with."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from adapters.common.errors import UserError
from adapters.compat import AdapterFacts, BaseFacts
from core.models.base import BaseSource, fingerprint, resolve
from core.models.merge import tensors_of

FLOATS = ("F64", "F32", "F16", "BF16")


@lru_cache(maxsize=16)
def facts_of(model_name_or_path: str) -> BaseFacts:
    """Id and fingerprint; of a name that means no base on this machine or the Hub, the name alone."""
    try:
        source = resolve(model_name_or_path)
    except UserError:
        return BaseFacts(model_name_or_path)
    return BaseFacts(source.id, fingerprint(source))


def with_shapes(base: BaseFacts, adapter: AdapterFacts) -> BaseFacts:
    """The base with its layers' shapes, where its files are on this machine and name them as the adapter does.

    Some families have other names in their files than when they are loaded; of those no shape is known here.
    """
    linears = _linears(base.id)
    named_alike = {_strip_numbers(path) for path in linears} & {_strip_numbers(path) for path in adapter.pairs}
    return replace(base, linears=linears) if named_alike else base


def _linears(base_id: str) -> dict[str, tuple[int, int]]:
    """Module path -> (out_features, in_features); {} where the files are not here, not whole, or quantised."""
    try:
        folder = _folder(resolve(base_id))
        if folder is None:
            return {}
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = tensors_of(folder)
    except (OSError, ValueError, UserError):
        return {}
    if config.get("quantization_config"):
        return {}
    found = {
        name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2 and tensor.dtype in FLOATS
    }
    if "lm_head" not in found and "model.embed_tokens" in found:  # it shares the embedding's weights
        found["lm_head"] = found["model.embed_tokens"]
    return found


def _folder(source: BaseSource) -> Path | None:
    if source.local:
        return Path(source.location)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(source.location, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _strip_numbers(module: str) -> str:
    return re.sub(r"\d+", "0", module)

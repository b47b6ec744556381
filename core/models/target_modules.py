"""Which modules of a base get an adapter: matched as PEFT matches them, and refused where that would come to nothing.

Importing this loads neither torch nor transformers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adapters.common.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"
# What a module is to LoRA: a linear layer; the head, from whose own weights TRL calculates the loss; what PEFT can put
# LoRA on but the engine's slots can't hold, such as embeddings; anything else.
LINEAR, HEAD, UNSERVED, OTHER = "linear", "head", "unserved", "other"


def chosen(modules: Mapping[str, str], wanted: str | Sequence[str], base: str) -> dict[str, str]:
    """Path -> kind of the modules that get an adapter. `modules`: those of the base called `base`, in the same way.

    "all-linear" is every linear layer but the head; another string is a regular expression for the whole module path; a
    list holds names or ends of paths. Raises UserError when one of them matches nothing, or something that can't be
    trained here.
    """
    if wanted == ALL_LINEAR:
        return {path: kind for path, kind in modules.items() if kind == LINEAR}
    found: dict[str, str] = {}
    lost = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        matched = _matching(modules, name, whole=isinstance(wanted, str))
        found |= matched
        if not matched:
            lost.append(name)
    given = f"lora_target_modules is {wanted if isinstance(wanted, str) else ', '.join(wanted)}"
    names = sorted({path.rpartition(".")[2] for path, kind in modules.items() if kind == LINEAR})
    remedy = f"Write all-linear, or choose among {', '.join(names)}."
    if lost:
        raise UserError(f"{given}, but nothing in {base} is called {', '.join(lost)}.", remedy)
    for path, kind in found.items():
        if kind == HEAD:
            what = (
                f"{given}, and {path} is the head, which can't be trained: the loss is calculated from its own weights."
            )
            raise UserError(what, remedy)
        if kind == OTHER:
            raise UserError(f"{given}, which {path} matches, but that is nothing to put LoRA on.", remedy)
    return found


def _matching(modules: Mapping[str, str], wanted: str, *, whole: bool) -> dict[str, str]:
    if not whole:
        return {path: kind for path, kind in modules.items() if path == wanted or path.endswith(f".{wanted}")}
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise UserError(
            f"lora_target_modules is {wanted}, which is no regular expression: {error}.",
            "Write all-linear, a list of names, or a regular expression for whole module paths.",
        ) from error
    return {path: kind for path, kind in modules.items() if pattern.fullmatch(path)}


def modules_of(model: PreTrainedModel) -> dict[str, str]:
    """Path -> kind of all modules of a base, which may be put together without its weights."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    others = (nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, Conv1D)

    def kind(module: nn.Module) -> str:
        if module is head:
            return HEAD
        return LINEAR if isinstance(module, nn.Linear) else UNSERVED if isinstance(module, others) else OTHER

    return {path: kind(module) for path, module in model.named_modules() if path}

"""A base out of the cache's arena: as views of the mapped file, or of its bytes in device memory; made when it is not
there yet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.models.shared_weights.cached_file import CachedArena
from core.models.shared_weights.weights_file import ArenaBroken, open_arena

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from core.models.shared_weights.device_memory import DeviceMemory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A model whose tensors are views of an arena's bytes. lent: these bytes in device memory, and their handle."""

    model: PreTrainedModel
    contents: dict[str, Any]
    nbytes: int
    lent: tuple[Tensor, bytes] | None = None


class NotShared(Exception):
    """Why there is no arena to share; `model` is what has been loaded all the same."""

    def __init__(self, reason: str, model: PreTrainedModel | None) -> None:
        super().__init__(reason)
        self.model = model


def mapped(config: PretrainedConfig, path: Path) -> Opened:
    from core.models.shared_weights.tensors import mapped_view, rebuild

    arena = open_arena(path)
    return Opened(rebuild(config, arena.contents, partial(mapped_view, arena)), arena.contents, arena.nbytes)


def on_device(config: PretrainedConfig, memory: DeviceMemory, path: Path) -> Opened:
    """Raises Refused when the device has no room, or its memory can't be lent."""
    import torch

    from core.models.shared_weights.device_memory import Refused
    from core.models.shared_weights.tensors import device_view, rebuild

    arena = open_arena(path)
    try:
        there, handle = memory.allocate(arena.nbytes)
        there.copy_(torch.frombuffer(arena.data, dtype=torch.uint8))
        model = rebuild(config, arena.contents, partial(device_view, there))
    except RuntimeError as error:
        raise Refused(first_line(error)) from error
    return Opened(model, arena.contents, arena.nbytes, (there, handle))


def found_or_made(
    place: CachedArena,
    opened: Callable[[Path], Opened],
    load: Callable[[], PreTrainedModel],
    say: Callable[[str], None],
) -> tuple[Opened, str]:
    """The model as `opened` takes it out of the cache, and how it came there: the first process makes the arena, and
    has seen that the model out of it calculates the same. Raises NotShared.
    """
    import torch

    from core.models.shared_weights.device_memory import Refused
    from core.models.shared_weights.tensors import DoesNotFit, release, sample_logits, write_model

    model: PreTrainedModel | None = None
    try:
        say("mapping the quantised weights")
        if found := _found(place, opened):
            return found, "found in the cache"
        with place.locked(say):
            if found := _found(place, opened):
                return found, "another process has just made it"
            model = load()
            say("keeping the quantised weights for the next start")
            with place.writing(model.get_memory_footprint()) as unfinished:
                write_model(model, unfinished, place.identity)
                expected = sample_logits(model)
                release(model)  # before its twin is opened: a device may not have room for both
                model = None
                torch.cuda.empty_cache()
                found = opened(unfinished)
                if not torch.equal(sample_logits(found.model), expected):
                    raise DoesNotFit("out of the arena it calculates something else")
            return found, "made now and kept in the cache"
    except Refused as error:
        raise NotShared(f"memory of this device can't be lent to other processes: {error}", model) from error
    except DoesNotFit as error:
        raise NotShared(f"this model does not allow sharing it: {error}", model) from error
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        where = place.path.parent
        raise NotShared(f"the cache in {where} does not allow sharing it: {error}", model) from error


def _found(place: CachedArena, opened: Callable[[Path], Opened]) -> Opened | None:
    """What the cache has, or None when there is nothing that can be used."""
    from core.models.shared_weights.tensors import DoesNotFit

    try:
        return opened(place.path)
    except FileNotFoundError:
        return None
    except (ArenaBroken, DoesNotFit, OSError) as error:
        log.warning("%s can't be used and is made anew: %s", place.path, error)
        return None


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__

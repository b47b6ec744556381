"""Open a base from the cached weights file: as views of the mapped file, or of its bytes in device memory.

The file is made when the cache does not have it yet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.models.shared_weights.cached_file import CachedWeightsFile
from core.models.shared_weights.weights_file import BrokenWeightsFile, open_weights_file

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from core.models.shared_weights.device_memory import DeviceMemory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedBase:
    """A model whose tensors are views of the bytes of a weights file.

    shared_memory: these bytes in device memory, and their handle.
    """

    model: PreTrainedModel
    contents: dict[str, Any]
    nbytes: int
    shared_memory: tuple[Tensor, bytes] | None = None


class NotShared(Exception):
    """Why there is no weights file to share. `model` is what was loaded all the same."""

    def __init__(self, reason: str, model: PreTrainedModel | None) -> None:
        super().__init__(reason)
        self.model = model


def open_mapped(config: PretrainedConfig, path: Path) -> OpenedBase:
    from core.models.shared_weights.tensors import mapped_view, rebuild

    weights = open_weights_file(path)
    return OpenedBase(
        rebuild(config, weights.contents, partial(mapped_view, weights)), weights.contents, weights.nbytes
    )


def open_on_device(config: PretrainedConfig, memory: DeviceMemory, path: Path) -> OpenedBase:
    """Raises DeviceMemoryError when the device has no room, or its memory cannot be shared."""
    import torch

    from core.models.shared_weights.device_memory import DeviceMemoryError
    from core.models.shared_weights.tensors import device_view, rebuild

    weights = open_weights_file(path)
    try:
        allocated, handle = memory.allocate(weights.nbytes)
        allocated.copy_(torch.frombuffer(weights.data, dtype=torch.uint8))
        model = rebuild(config, weights.contents, partial(device_view, allocated))
    except RuntimeError as error:
        raise DeviceMemoryError(first_line(error)) from error
    return OpenedBase(model, weights.contents, weights.nbytes, (allocated, handle))


def open_or_create(
    cached: CachedWeightsFile,
    open_file: Callable[[Path], OpenedBase],
    load: Callable[[], PreTrainedModel],
    say: Callable[[str], None],
) -> tuple[OpenedBase, str]:
    """The model as `open_file` reads it from the cache, and how it came there. Raises NotShared.

    The first process writes the file, and checks that the model read back from it calculates the same.
    """
    import torch

    from core.models.shared_weights.device_memory import DeviceMemoryError
    from core.models.shared_weights.tensors import UnsupportedModel, release, sample_logits, write_model

    model: PreTrainedModel | None = None
    try:
        say("mapping the quantised weights")
        if found := _open_found(cached, open_file):
            return found, "found in the cache"
        with cached.locked(say):
            if found := _open_found(cached, open_file):
                return found, "another process has just made it"
            model = load()
            say("keeping the quantised weights for the next start")
            with cached.writing(model.get_memory_footprint()) as unfinished:
                write_model(model, unfinished, cached.identity)
                expected = sample_logits(model)
                release(model)  # before its twin is opened: a device may not have room for both
                model = None
                torch.cuda.empty_cache()
                found = open_file(unfinished)
                if not torch.equal(sample_logits(found.model), expected):
                    raise UnsupportedModel("read back from the file, it calculates something else")
            return found, "made now and kept in the cache"
    except DeviceMemoryError as error:
        raise NotShared(f"memory of this device cannot be shared with other processes: {error}", model) from error
    except UnsupportedModel as error:
        raise NotShared(f"this model does not allow sharing it: {error}", model) from error
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        where = cached.path.parent
        raise NotShared(f"the cache in {where} does not allow sharing it: {error}", model) from error


def _open_found(cached: CachedWeightsFile, open_file: Callable[[Path], OpenedBase]) -> OpenedBase | None:
    """What the cache has, or None when it has nothing that can be used."""
    from core.models.shared_weights.tensors import UnsupportedModel

    try:
        return open_file(cached.path)
    except FileNotFoundError:
        return None
    except (BrokenWeightsFile, UnsupportedModel, OSError) as error:
        log.warning("%s can't be used and is made anew: %s", cached.path, error)
        return None


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__

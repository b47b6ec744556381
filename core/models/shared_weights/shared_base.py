"""One copy of the base for engine and trainer, and for the next start instead of quantising again.

On a CPU all processes map one file. On a CUDA device the engine reads that file into one allocation and publishes its
handle (ipc_handle.py); a trainer opens that. On CUDA this has NOT BEEN RUN ON A GPU YET: the tests run all but the CUDA
calls.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.home import Home
from core.common.process import Identity
from core.models.base import BaseSource, fingerprint, load_model, read_config
from core.models.device import Choice, choose_device, choose_dtype
from core.models.shared_weights.cached_file import CachedWeightsFile
from core.models.shared_weights.ipc_handle import HandlePublisher, HandleState, sample_hash, wait_for_handle
from core.models.shared_weights.opening import (
    NotShared,
    OpenedBase,
    first_line,
    open_mapped,
    open_on_device,
    open_or_create,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from core.models.shared_weights.device_memory import DeviceMemory

MAPPED, LENT, BORROWED, OWN = "mapped", "lent", "borrowed", "own copy"

log = logging.getLogger(__name__)
Load = Callable[[], "PreTrainedModel"]
Say = Callable[[str], None]
Open = Callable[[Path], OpenedBase]


@dataclass(frozen=True)
class SharedBase:
    """A loaded base, and whether its weights are the ones that all processes share.

    owner: the process in whose memory the weights lie, where that is another one. When it ends they are gone.
    identity: everything that the weights depend on; None where that is not known.
    """

    model: PreTrainedModel
    how: Choice
    owner: Identity | None = None
    identity: dict[str, Any] | None = None


@dataclass(frozen=True)
class OpeningHooks:
    """What a trainer, which uses the base while the engine runs, decides while the base is opened.

    keep_engine: called before anything is loaded, with whether engine and trainer would share one copy. Where it
    returns False the engine has been ended, and the base is a copy of this process's own.
    should_stop: ends all waiting.
    """

    keep_engine: Callable[[bool], bool] = lambda shared: True
    should_stop: Callable[[], bool] = lambda: False


def open_base(
    source: BaseSource,
    home: Home,
    *,
    load_in_4bit: bool = True,
    use_bnb_nested_quant: bool = True,
    device: str | None = None,
    publish: bool = False,
    hooks: OpeningHooks = OpeningHooks(),
    progress: Say | None = None,
) -> SharedBase:
    """The base as `core.models.base.load_model` gives it, bit for bit, shared with other processes where possible.

    The first process that needs a base quantises it and leaves the result in the cache (checked against what it
    loaded); others wait for that. On a CPU all map the one file. On another device the engine (`publish`) puts it into
    memory that the others open. Where this is not possible the model is a copy of this process's own, and `how` says
    why. Raises UserError as `load_model` does.
    """
    say = progress or (lambda phase: None)
    device = device or choose_device().value

    def load() -> PreTrainedModel:
        return load_model(
            source,
            load_in_4bit=load_in_4bit,
            use_bnb_nested_quant=use_bnb_nested_quant,
            device=device,
            progress=progress,
        )

    def own(reason: str) -> SharedBase:
        log.info("the base is not shared: %s", reason)
        hooks.keep_engine(False)
        return SharedBase(load(), Choice(OWN, reason))

    if not load_in_4bit:
        return own("it is not wanted in 4 bit, and the shared one is")
    say("reading the configuration")
    config = read_config(source)
    if not use_bnb_nested_quant and getattr(config, "quantization_config", None) is None:
        return own("it is wanted without double quantisation, and the shared one has it")
    identity = _weights_identity(source, config, choose_dtype(device, config.model_type).value)
    if identity is None:
        return own("its revision is unknown, so two processes might mean different weights")
    cached, memory = CachedWeightsFile(home.cache, source.id, identity), device_memory(device)
    if memory is None:
        hooks.keep_engine(True)
        return _open_cached(cached, partial(open_mapped, config), load, say)
    if publish:
        return _open_published(cached, partial(open_on_device, config, memory), HandlePublisher(home), load, say)
    borrowed = _open_borrowed(home, cached, config, memory, hooks, say)
    return own(borrowed) if isinstance(borrowed, str) else borrowed


def device_memory(device: str) -> DeviceMemory | None:
    """Memory of `device` that processes can share; None where they map a file instead."""
    if device == "cpu":
        return None
    from core.models.shared_weights.device_memory import CudaMemory

    return CudaMemory(device)


def _open_cached(cached: CachedWeightsFile, open_file: Open, load: Load, say: Say) -> SharedBase:
    """The base as all processes map it."""
    try:
        found, how = open_or_create(cached, open_file, load, say)
    except NotShared as error:
        return _fall_back(error, load, cached)
    reason = f"{how}, {_size(found.nbytes)} that chat and training map from one file: one copy in memory"
    return SharedBase(found.model, Choice(MAPPED, reason), identity=cached.identity)


def _open_published(
    cached: CachedWeightsFile, open_file: Open, publisher: HandlePublisher, load: Load, say: Say
) -> SharedBase:
    """The base in memory that other processes may open."""
    publisher.announce_loading()
    try:
        found, how = open_or_create(cached, open_file, load, say)
        assert found.shared_memory is not None
        publisher.publish(*found.shared_memory, found.contents)
    except NotShared as error:
        publisher.keep_private(str(error))
        return _fall_back(error, load, cached)
    except BaseException:
        publisher.keep_private("it could not be loaded")
        raise
    reason = f"{how}, {_size(found.nbytes)} of device memory that training opens too: one copy"
    return SharedBase(found.model, Choice(LENT, reason), identity=cached.identity)


def _fall_back(error: NotShared, load: Load, cached: CachedWeightsFile) -> SharedBase:
    log.warning("the base is not shared: %s", error)
    model = load() if error.model is None else error.model
    return SharedBase(model, Choice(OWN, str(error)), identity=cached.identity)


def _open_borrowed(
    home: Home, cached: CachedWeightsFile, config: PretrainedConfig, memory: DeviceMemory, hooks: OpeningHooks, say: Say
) -> SharedBase | str:
    """The base in the engine's memory, or why not."""
    from core.models.shared_weights.device_memory import DeviceMemoryError
    from core.models.shared_weights.tensors import UnsupportedModel, device_view, rebuild

    shared = wait_for_handle(home, cached.base_id, say, hooks.should_stop)
    if shared is None:
        return "no chat has it in this device's memory"
    if shared.state is HandleState.PRIVATE:
        return f"the chat keeps its copy to itself: {shared.reason}"
    if shared.contents.get("identity") != cached.identity:
        return "the chat has another base, or another version of it"
    if not hooks.keep_engine(True):
        return "the chat is parked, and its copy with it"
    try:
        opened = memory.opened(shared.handle, shared.nbytes)
        if sample_hash(opened) != shared.sample:
            raise DeviceMemoryError("behind its handle lies something else")
        model = rebuild(config, shared.contents, partial(device_view, opened))
    except (UnsupportedModel, KeyError, OSError, DeviceMemoryError, RuntimeError, ValueError) as error:
        return f"the chat's copy could not be opened: {first_line(error)}"
    if not shared.owner.alive():
        return "the chat ended while its copy was opened"
    reason = f"the chat's own {_size(shared.nbytes)} of device memory, lent by process {shared.owner.pid}: one copy"
    return SharedBase(model, Choice(BORROWED, reason), shared.owner)


def _weights_identity(source: BaseSource, config: PretrainedConfig, dtype: str) -> dict[str, Any] | None:
    """Everything that the bytes of the weights file depend on. None when it is unknown which weights are meant."""
    weights = fingerprint(source) or config._commit_hash
    if weights is None:
        return None
    return {
        "base": source.id,
        "weights": weights,
        "config": hashlib.sha256(config.to_json_string(use_diff=False).encode()).hexdigest(),
        "dtype": dtype,
        "quantization": "nf4, double",
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "bitsandbytes")},
    }


def _size(nbytes: int) -> str:
    return f"{nbytes / 2**20:.1f} MiB"

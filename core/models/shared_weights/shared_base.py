"""One copy of the base for engine and trainer, and for the next start instead of quantising again.

On a CPU all map one file. On a CUDA device the engine reads that file into one allocation and lends it (lending.py);
a trainer borrows it. Lending on CUDA has NOT BEEN RUN ON A GPU YET: the tests run all but the CUDA calls.
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
from core.models.shared_weights.cached_file import CachedArena
from core.models.shared_weights.lending import Lender, LoanState, awaited_loan, sampled
from core.models.shared_weights.opening import NotShared, Opened, first_line, found_or_made, mapped, on_device

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from core.models.shared_weights.device_memory import DeviceMemory

MAPPED, LENT, BORROWED, OWN = "mapped", "lent", "borrowed", "own copy"

log = logging.getLogger(__name__)
Load = Callable[[], "PreTrainedModel"]
Say = Callable[[str], None]
Open = Callable[[Path], Opened]


@dataclass(frozen=True)
class SharedBase:
    """A loaded base, and whether its weights are the ones that all processes share.

    owner: the process in whose memory the weights lie, where that is another one. When it ends they are gone.
    """

    model: PreTrainedModel
    how: Choice
    owner: Identity | None = None


@dataclass(frozen=True)
class Beside:
    """What a process that uses the base beside the engine, a trainer, has to say while it is opened.

    stays: asked with whether engine and trainer would have one copy, before anything is loaded; where it says no the
    engine has been ended, and the base is a copy of this process's own. give_up: ends all waiting.
    """

    stays: Callable[[bool], bool] = lambda shared: True
    give_up: Callable[[], bool] = lambda: False


def open_base(
    source: BaseSource,
    home: Home,
    *,
    load_in_4bit: bool = True,
    use_bnb_nested_quant: bool = True,
    device: str | None = None,
    lends: bool = False,
    beside: Beside = Beside(),
    progress: Say | None = None,
) -> SharedBase:
    """The base as `core.models.base.load_model` gives it, bit for bit, shared with other processes where that can be.

    The first process that needs a base quantises it and leaves the result in the cache (checked against what it
    loaded); others wait for that. On a CPU all map the one file. On another device the one that `lends` (the engine)
    puts it into memory that the others open. Where this is not possible the model is a copy of this process's own, and
    `how` says why. Raises UserError as `load_model` does.
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
        beside.stays(False)
        return SharedBase(load(), Choice(OWN, reason))

    if not load_in_4bit:
        return own("it is not wanted in 4 bit, and the shared one is")
    say("reading the configuration")
    config = read_config(source)
    if not use_bnb_nested_quant and getattr(config, "quantization_config", None) is None:
        return own("it is wanted without double quantisation, and the shared one has it")
    identity = _identity(source, config, choose_dtype(device, config.model_type).value)
    if identity is None:
        return own("its revision is unknown, so two processes might mean different weights")
    place, memory = CachedArena(home.cache, source.id, identity), device_memory(device)
    if memory is None:
        beside.stays(True)
        return _cached(place, partial(mapped, config), load, say)
    if lends:
        return _lent(place, partial(on_device, config, memory), Lender(home), load, say)
    borrowed = _borrowed(home, place, config, memory, beside, say)
    return own(borrowed) if isinstance(borrowed, str) else borrowed


def device_memory(device: str) -> DeviceMemory | None:
    """Memory of `device` that processes lend each other; None where they map a file instead."""
    if device == "cpu":
        return None
    from core.models.shared_weights.device_memory import CudaMemory

    return CudaMemory(device)


def _cached(place: CachedArena, opened: Open, load: Load, say: Say) -> SharedBase:
    """The base as all processes map it."""
    try:
        found, how = found_or_made(place, opened, load, say)
    except NotShared as error:
        return _unshared(error, load)
    reason = f"{how}, {_size(found.nbytes)} that chat and training map from one file: one copy in memory"
    return SharedBase(found.model, Choice(MAPPED, reason))


def _lent(place: CachedArena, opened: Open, lender: Lender, load: Load, say: Say) -> SharedBase:
    """The base in memory that other processes may open."""
    lender.prepare()
    try:
        found, how = found_or_made(place, opened, load, say)
        assert found.lent is not None
        lender.lend(*found.lent, found.contents)
    except NotShared as error:
        lender.keep(str(error))
        return _unshared(error, load)
    except BaseException:
        lender.keep("it could not be loaded")
        raise
    reason = f"{how}, {_size(found.nbytes)} of device memory that training opens too: one copy"
    return SharedBase(found.model, Choice(LENT, reason))


def _unshared(error: NotShared, load: Load) -> SharedBase:
    log.warning("the base is not shared: %s", error)
    return SharedBase(load() if error.model is None else error.model, Choice(OWN, str(error)))


def _borrowed(
    home: Home, place: CachedArena, config: PretrainedConfig, memory: DeviceMemory, beside: Beside, say: Say
) -> SharedBase | str:
    """The base in the engine's memory, or why not."""
    from core.models.shared_weights.device_memory import Refused
    from core.models.shared_weights.tensors import DoesNotFit, device_view, rebuild

    loan = awaited_loan(home, place.base_id, say, beside.give_up)
    if loan is None:
        return "no chat has it in this device's memory"
    if loan.state is LoanState.KEPT:
        return f"the chat keeps its copy to itself: {loan.reason}"
    if loan.contents.get("identity") != place.identity:
        return "the chat has another base, or another version of it"
    if not beside.stays(True):
        return "the chat is parked, and its copy with it"
    try:
        there = memory.opened(loan.handle, loan.nbytes)
        if sampled(there) != loan.sample:
            raise Refused("behind its handle lies something else")
        model = rebuild(config, loan.contents, partial(device_view, there))
    except (DoesNotFit, KeyError, OSError, Refused, RuntimeError, ValueError) as error:
        return f"the chat's copy could not be opened: {first_line(error)}"
    if not loan.owner.alive():
        return "the chat ended while its copy was opened"
    reason = f"the chat's own {_size(loan.nbytes)} of device memory, lent by process {loan.owner.pid}: one copy"
    return SharedBase(model, Choice(BORROWED, reason), loan.owner)


def _identity(source: BaseSource, config: PretrainedConfig, dtype: str) -> dict[str, Any] | None:
    """All that decides about the bytes in the arena. None when it can't be told which weights are meant."""
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

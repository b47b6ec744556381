"""One copy of the base: engine and trainer map one file, and so does the next start instead of quantising again."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from adapters.files import sync_folder
from core.arena.file import ArenaBroken, open_arena
from core.base import BaseSource, fingerprint, load_model, read_config
from core.device import Choice, choose_device, choose_dtype
from core.home import Home

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

MAPPED, OWN = "mapped", "own copy"
KEPT_FREE = 256 << 20  # bytes of disk that an arena must leave for everything else
WAIT_SECONDS = 5.0  # between two signs of life while another process quantises

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedBase:
    """A loaded base, and whether its weights are the ones that all processes share."""

    model: PreTrainedModel
    how: Choice


def open_base(
    source: BaseSource,
    home: Home,
    *,
    load_in_4bit: bool = True,
    use_bnb_nested_quant: bool = True,
    device: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> SharedBase:
    """The base as `core.base.load_model` gives it, bit for bit, but mapped from the home's cache where that can be.

    The first process that needs a base quantises it and leaves the result in the cache (checked against what it
    loaded); others wait for that, and all map the one file. Where this is not possible the model is a copy of this
    process's own, and `how` says why. Raises UserError as `load_model` does.
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

    if reason := _why_own(device, load_in_4bit):
        return SharedBase(load(), Choice(OWN, reason))
    say("reading the configuration")
    config = read_config(source)
    if not use_bnb_nested_quant and getattr(config, "quantization_config", None) is None:
        reason = "it is wanted without double quantisation, and the shared one has it"
        return SharedBase(load(), Choice(OWN, reason))
    identity = _identity(source, config, choose_dtype(device, config.model_type).value)
    if identity is None:
        return SharedBase(load(), Choice(OWN, "its revision is unknown, so two processes might mean different weights"))
    place = _Place(home.cache, source.id, identity)
    say("mapping the quantised weights")
    if found := _mapped(place, config):
        return SharedBase(found, Choice(MAPPED, f"found in the cache, {place.described()}"))
    return _prepare(place, config, load, say)


def _prepare(
    place: _Place, config: PretrainedConfig, load: Callable[[], PreTrainedModel], say: Callable[[str], None]
) -> SharedBase:
    """Load the base and leave it in the cache, unless another process has just done so."""
    from core.arena.model import DoesNotFit, release

    model: PreTrainedModel | None = None
    try:
        with place.locked(say):
            if found := _mapped(place, config):
                return SharedBase(found, Choice(MAPPED, f"another process has just made it, {place.described()}"))
            model = load()
            say("keeping the quantised weights for the next start")
            mapped = _keep(place, config, model)
    except (DoesNotFit, OSError, NotImplementedError) as error:  # the last: a file system without locks
        what = "this model" if isinstance(error, DoesNotFit) else f"the cache in {place.path.parent}"
        reason = f"{what} does not allow sharing it: {error}"
        log.warning("the base is not shared: %s", reason)
        return SharedBase(load() if model is None else model, Choice(OWN, reason))
    release(model)
    return SharedBase(mapped, Choice(MAPPED, f"made now and kept in the cache, {place.described()}"))


def _keep(place: _Place, config: PretrainedConfig, model: PreTrainedModel) -> PreTrainedModel:
    """Write the arena of `model` into the cache and return its twin, mapped and seen to calculate the same."""
    from core.arena.model import DoesNotFit, same_logits, write_model

    with place.writing(model.get_memory_footprint()) as unfinished:
        write_model(model, unfinished, place.identity)
        mapped = _opened(unfinished, config)
        if not same_logits(model, mapped):
            raise DoesNotFit("out of the arena it calculates something else")
    return mapped


def _mapped(place: _Place, config: PretrainedConfig) -> PreTrainedModel | None:
    """The model from the cache, or None when there is none that can be used."""
    from core.arena.model import DoesNotFit

    try:
        return _opened(place.path, config)
    except FileNotFoundError:
        return None
    except (ArenaBroken, DoesNotFit, OSError) as error:
        log.warning("%s can't be used and is made anew: %s", place.path, error)
        return None


def _opened(path: Path, config: PretrainedConfig) -> PreTrainedModel:
    from core.arena.model import mapped_view, rebuild

    arena = open_arena(path)
    return rebuild(config, arena.contents, partial(mapped_view, arena))


def _why_own(device: str, load_in_4bit: bool) -> str | None:
    if not load_in_4bit:
        return "it is not wanted in 4 bit, and the shared one is"
    if device != "cpu":
        return "sharing one copy between processes over CUDA IPC is not enabled yet"
    return None


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


class _Place:
    """Where in the cache a base's arena lies. There is one per base: a newer one takes an older one's place."""

    def __init__(self, cache: Path, base_id: str, identity: dict[str, Any]) -> None:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", base_id).strip("-.")[-60:]
        self.identity = identity
        self.base = f"base-{readable}-{hashlib.sha256(base_id.encode()).hexdigest()[:8]}"
        version = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.path = cache / f"{self.base}.{version}.arena"

    def described(self) -> str:
        return (
            f"{self.path.stat().st_size / 2**20:.1f} MiB that chat and training map from one file: one copy in memory"
        )

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let one process at a time write. The lock of one that was killed is free."""
        lock = FileLock(self.path.with_name(f"{self.base}.lock"))
        while True:
            try:
                lock.acquire(timeout=WAIT_SECONDS)
                break
            except Timeout:
                say("waiting for another process that quantises the same base")
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, size: int) -> Iterator[Path]:
        """A file to write an arena of about `size` bytes into; it gets the arena's name when the block ends well.

        Arenas of other versions then go (a process that maps one keeps it). Raises OSError when it would leave too
        little of the disk.
        """
        free = shutil.disk_usage(self.path.parent).free
        if free < size + KEPT_FREE:
            raise OSError(f"it takes {size / 2**30:.2f} GiB and the disk has {free / 2**30:.2f} GiB left")
        unfinished = self.path.with_name(f"{self.base}.unfinished")
        try:
            yield unfinished
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)
        sync_folder(self.path.parent)
        for other in self.path.parent.glob(f"{self.base}.*.arena"):
            if other != self.path:
                other.unlink(missing_ok=True)

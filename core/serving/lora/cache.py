"""Adapters by name: in the home's store or at a path that was loaded, and the latest ones in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from adapters.common.errors import UserError
from adapters.compat import BaseFacts, inspect, why_not, why_not_slots
from adapters.folder_layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.store import AdapterStore, check_name
from core.common.home import Home
from core.serving.lora.slots import HostAdapter


class AdapterCache:
    """Reads adapters off the engine's thread and keeps the most recently used in host memory. Any thread may call it.

    An adapter whose files have changed on disk is read again on the next request; `retire` is called with the version
    that it replaces.
    """

    def __init__(
        self,
        home: Home,
        base: BaseFacts,
        *,
        max_rank: int,
        dtype: torch.dtype,
        max_bytes: int,
        retire: Callable[[HostAdapter], object],
    ) -> None:
        self.home, self.base, self.max_rank, self.dtype = home, base, max_rank, dtype
        self.store = AdapterStore(home.adapters)
        self.max_bytes = max_bytes
        self._retire = retire
        self._loaded: dict[str, Path] = {}  # names given by `load` to folders outside the store
        self._host: OrderedDict[str, HostAdapter] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}

    def names(self) -> dict[str, Path]:
        """All names that requests may use, with their folders. What the disk no longer has is dropped from memory."""
        stored = {record.name: self.store.path(record.name) for record in self.store.list()}
        with self._lock:
            folders = stored | self._loaded
            deleted = [self._host.pop(name) for name in set(self._host) - set(folders)]
        for adapter in deleted:
            self._retire(adapter)
        return folders

    def in_memory(self) -> list[str]:
        with self._lock:
            return list(self._host)

    def get(self, name: str) -> HostAdapter | None:
        """The adapter, read from disk unless memory has the same version. None when no adapter has that name.

        Raises UserError when its files are broken or it does not fit the base or the slots.
        """
        folder = self._folder(name)
        return None if folder is None else self._current(name, folder)

    def load(self, name: str, folder: Path, *, replace: bool) -> HostAdapter:
        """Read the adapter in `folder` and serve it as `name`. On UserError nothing has changed."""
        check_name(name)
        folder = self._allowed(folder)
        current = self._folder(name)
        if current is not None and current != folder and not replace:
            raise UserError(
                f"There is another adapter named {name!r}.", "Choose another name, or replace it with load_inplace."
            )
        adapter = self._current(name, folder)
        with self._lock:
            if folder == self.home.adapters.resolve() / name:
                self._loaded.pop(name, None)
            else:
                self._loaded[name] = folder
        return adapter

    def unload(self, name: str) -> bool:
        """Drop an adapter until the next request for it; one that was loaded by path is dropped for good.

        False when there is no such adapter.
        """
        exists = self._folder(name) is not None
        with self._lock:
            self._loaded.pop(name, None)
            adapter = self._host.pop(name, None)
        if adapter is not None:
            self._retire(adapter)
        return exists

    def _current(self, name: str, folder: Path) -> HostAdapter:
        """The adapter in `folder` as it is on disk now, under `name`; the version that it replaces is retired."""
        with self._lock:
            reading = self._reading.setdefault(name, threading.Lock())
        with reading:  # several requests for an adapter that is not in memory read it once
            signature = _signature(folder)
            with self._lock:
                known = self._host.get(name)
                if known is not None and (known.folder, known.signature) == (folder, signature):
                    self._host.move_to_end(name)
                    return known
            # On a thread that ends: a thread on which torch has calculated keeps its OpenMP workers for as long as it
            # lives, and with more workers than cores libgomp lets the engine's sleep between any two operators.
            with ThreadPoolExecutor(1, thread_name_prefix="adapter") as own:
                adapter = own.submit(read_adapter, name, folder, self.base, self.max_rank, self.dtype).result()
            with self._lock:
                dropped = [known] if known is not None else []
                self._host[name] = adapter
                self._host.move_to_end(name)
                # Slots hold nothing that memory does not: what is evicted here leaves its slot, too.
                while len(self._host) > 1 and sum(kept.bytes for kept in self._host.values()) > self.max_bytes:
                    dropped.append(self._host.popitem(last=False)[1])
            for old in dropped:
                self._retire(old)
            return adapter

    def _folder(self, name: str) -> Path | None:
        with self._lock:
            if name in self._loaded:
                return self._loaded[name]
        try:
            return self.store.path(name).resolve()
        except UserError:
            return None

    def _allowed(self, folder: Path) -> Path:
        """Only adapters and the checkpoints of runs may be loaded by path, so that no other files can be read."""
        resolved = folder.resolve()
        roots = [self.home.adapters.resolve(), self.home.runs.resolve()]
        if not any(root in resolved.parents for root in roots):
            raise UserError(
                f"{folder} is not under the home folder's adapters or runs.",
                "Import the adapter first, or give the path of a run's checkpoint.",
            )
        return resolved


def read_adapter(name: str, folder: Path, base: BaseFacts, max_rank: int, dtype: torch.dtype) -> HostAdapter:
    """Read and check an adapter. Raises UserError when it is damaged, of another base, or does not fit the slots."""
    signature = _signature(folder)
    facts = inspect(folder)
    if reason := why_not(facts, base) or why_not_slots(facts, max_rank):
        raise UserError(f"The adapter {name!r} cannot be used here. {reason}", "Choose another adapter or base.")
    try:
        # Read whole, not memory-mapped: a mapped file that is truncated would end the process by SIGBUS.
        tensors = load((folder / WEIGHTS_FILE).read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(f"The weights of {name!r} cannot be read: {error}.", "Fetch or train it anew.") from error
    pairs = {}
    for module in facts.pairs:
        a, b = (_tensor(tensors, module, side).to(torch.float32) for side in "AB")
        pair = (a.t().contiguous().to(dtype), (b * facts.scaling(module)).t().contiguous().to(dtype))
        if not all(bool(matrix.isfinite().all()) for matrix in pair):
            raise UserError(f"The adapter {name!r} has values that are not numbers in {module}.", "Train it anew.")
        pairs[module] = (pair[0].pin_memory(), pair[1].pin_memory()) if torch.cuda.is_available() else pair
    return HostAdapter(name, folder, signature, pairs)


def _tensor(tensors: dict[str, torch.Tensor], module: str, side: str) -> torch.Tensor:
    key = f"{module}.lora_{side}.weight"
    return tensors[f"base_model.model.{key}"] if f"base_model.model.{key}" in tensors else tensors[key]


def _signature(folder: Path) -> tuple[object, ...]:
    """What changes when an adapter's files are replaced. Raises UserError when they are not there."""
    try:
        stats = [(folder / name).stat() for name in (CONFIG_FILE, WEIGHTS_FILE)]
    except OSError as error:
        what = f"The adapter in {folder.name} is not whole: {error.strerror}."
        raise UserError(what, "Train or fetch it anew.") from error
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)

"""What a step keeps alive on the card, and the most there was, from the storages of its fake tensors."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.rehearsal.allocator import rounded


class CardMemory(TorchDispatchMode):
    """Bytes alive on the card, rounded as its allocator rounds them.

    phase: what is going on, set by whoever runs it. peaks: the most there was in each phase. trace: every allocation
    (bytes, number) and its end (-1, number), in order. listed: the phase of which at_peak says what was
    alive when there was most; None: of none.
    """

    def __init__(self, listed: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.phase = ""
        self.peaks: dict[str, int] = {}
        self.trace: list[tuple[int, int]] = []
        self.at_peak: Counter[str] = Counter()
        self._listed = listed
        self._alive: dict[int, weakref.ref[Any]] = {}
        self._about: dict[int, tuple[str, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device.type == "cuda":
                self._count(tensor, func)
        return result

    @property
    def peak(self) -> int:
        return max(self.peaks.values(), default=self.live)

    def forget_peaks(self) -> None:
        self.peaks = {self.phase: self.live}

    def _count(self, tensor: Tensor, func: Any) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, rounded(storage.nbytes())
        known = self._alive.get(key)
        if not size or (known is not None and known() is not None):
            return
        number = len(self.trace)

        def end(reference: weakref.ref[Any]) -> None:
            self.live -= size
            self.trace.append((-1, number))
            self._about.pop(number, None)
            if self._alive.get(key) is reference:
                del self._alive[key]

        self._alive[key] = weakref.ref(storage, end)
        self.live += size
        self.trace.append((size, number))
        if self._listed:
            what = f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} by {func}, {self.phase}"
            self._about[number] = (what, size)
        if self.live > self.peaks.get(self.phase, 0):
            self.peaks[self.phase] = self.live
            if self.phase == self._listed:
                self.at_peak.clear()
                for what, bytes_of in self._about.values():
                    self.at_peak[what] += bytes_of

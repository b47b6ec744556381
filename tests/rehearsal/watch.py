"""What a card would refuse or wait for, seen from the operators that are called on it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.rehearsal.four_bit import multiply_packed

PRODUCTS = frozenset({"mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_", "mv", "addmv", "dot", "linear", "matmul"})
INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})


@dataclass
class Notes:
    """How often, by the line that asked. waits: the host waits for the card. uploads: copies from the host to it.
    downloads: copies back, which are waits too. dtypes: floating ones of all results on the card."""

    waits: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    dtypes: set[str] = field(default_factory=set)

    def to_dict(self) -> dict[str, Any]:
        return {name: sorted(value) if isinstance(value, set) else dict(value) for name, value in vars(self).items()}


class Watch(TorchDispatchMode):
    """Answers what only data could, notes what costs, and raises what CUDA does and fake tensors do not.

    number: what `.item()` gives for a floating tensor.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.notes = Notes()
        self.number = 1.0
        self._is_recording = False

    def fresh(self) -> Notes:
        """Notes from here on."""
        self.notes = Notes()
        return self.notes

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While a CUDA graph is recorded, neither waits nor copies from the host are allowed."""
        self._is_recording = True
        try:
            yield
        finally:
            self._is_recording = False

    def wait(self, what: str) -> None:
        self._note(self.notes.waits, what)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name: str = func.overloadpacket.__name__
        self._look(name, args, kwargs)
        if name in ("_local_scalar_dense", "item") and isinstance(args[0], FakeTensor):
            return self._item(args[0])
        if name in ("equal", "allclose"):
            if args[0].device.type == "cuda":
                self.wait(name)
            return True
        if name == "gemm_4bit" and args[0].device.type == "cuda":
            return multiply_packed(*args, **kwargs)
        if torch.is_inference_mode_enabled() and func.namespace == "aten" and func._can_decompose():
            with self:  # without inference mode autograd has taken it apart already
                return func.decompose(*args, **kwargs)
        if name == "nonzero":
            return self._places(args[0], "nonzero")
        if name in INDEXING:
            args = (args[0], list(self._indices(args[1])), *args[2:])
        result = func(*args, **kwargs)
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device.type == "cuda" and tensor.is_floating_point():
                self.notes.dtypes.add(str(tensor.dtype).removeprefix("torch."))
        return result

    def _item(self, tensor: FakeTensor) -> Any:
        if tensor.device.type == "cuda":
            self.wait("item")
        if tensor.constant is not None:
            with no_dispatch():
                return tensor.constant.item()
        return True if tensor.dtype == torch.bool else self.number if tensor.is_floating_point() else 1

    def _indices(self, given: Any) -> Iterator[Tensor | None]:
        """A mask selects all that there is."""
        for index in given:
            if isinstance(index, Tensor) and index.dtype == torch.bool:
                yield from self._places(index, "tensor[mask]").unbind(1)
            else:
                yield index

    def _places(self, mask: Tensor, what: str) -> Tensor:
        if mask.device.type == "cuda":
            self.wait(what)
        return torch.empty(mask.numel(), mask.dim(), dtype=torch.long, device=mask.device)

    def _look(self, name: str, args: Any, kwargs: Any) -> None:
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if name in PRODUCTS:
            self._check_product(name, args, kwargs)
        if name == "_to_copy" and tensors:
            self._moved(tensors[0].device, torch.device(kwargs.get("device") or tensors[0].device))
        elif name == "copy_" and len(tensors) > 1:
            self._moved(tensors[1].device, tensors[0].device)

    def _check_product(self, name: str, args: Any, kwargs: Any) -> None:
        """cuBLAS wants one dtype for all; the fake versions of some of these products do not mind."""
        factors = [each for each in args if isinstance(each, Tensor)]
        if kwargs.get("out_dtype") is not None or any(isinstance(each, torch.dtype) for each in args):
            factors = factors[-2:]
        if len({factor.dtype for factor in factors}) > 1:
            raise RuntimeError(f"{name}: expected one dtype, got {', '.join(str(each.dtype) for each in factors)}")

    def _moved(self, source: torch.device, target: torch.device) -> None:
        if source.type == target.type or "meta" in (source.type, target.type):
            return
        self._note(self.notes.uploads if target.type == "cuda" else self.notes.downloads, "copy")

    def _note(self, notes: Counter[str], what: str) -> None:
        place = f"{what} at {_caller()}"
        notes[place] += 1
        if self._is_recording:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing: {place}")


def _caller() -> str:
    """The nearest line outside torch and this folder."""
    frame = sys._getframe(1)
    while frame.f_back and any(part in frame.f_code.co_filename for part in ("/torch/", "/rehearsal/", "<")):
        frame = frame.f_back
    return "/".join(frame.f_code.co_filename.split("/")[-2:]) + f":{frame.f_lineno}"

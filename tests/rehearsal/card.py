"""A CUDA card that is not there: tensors without data that say they are on cuda:0.

Fake tensors (torch._subclasses.fake_tensor) know shape, dtype and device, and refuse to be mixed across devices, as a
card does. Around them: a torch.cuda that answers for one card; the kernels that CUDA takes for attention and for 4-bit
products; a watch over waits, copies and dtypes; and the memory that is alive. Everything else, the project's code and
its libraries, runs as it is. What this cannot show stands in docs/planner.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from core.planner.gpus import FLASH_CAPABILITY, Gpu
from tests.rehearsal.attention import Attention
from tests.rehearsal.memory import CardMemory
from tests.rehearsal.watch import Watch

T4 = (7, 5)
PROCESSORS = {"t4": 40, "a100-40": 108}  # streaming multiprocessors, by which bitsandbytes chooses its kernels


@dataclass
class Card:
    """A card of the planner's catalogue, with all that looks on."""

    gpu: Gpu
    processors: int
    memory: CardMemory
    watch: Watch
    attention: Attention

    @property
    def dtype(self) -> str:
        """The one that a base is to have here."""
        return "float16" if self.gpu.capability == T4 else "bfloat16"

    @classmethod
    def named(cls, name: str, listed: str | None = None) -> Card:
        gpu = Gpu.find(name)
        assert gpu.capability is not None
        attention = Attention(has_flash=gpu.capability >= FLASH_CAPABILITY)
        memory = CardMemory(listed)
        return cls(gpu, PROCESSORS[name], memory, Watch(), attention)


class WithoutDriver(FakeTensorMode):
    avoid_device_init = True  # torch.tensor(values, device="cuda") begins on the CPU, whatever is_available says


@contextmanager
def present(card: Card) -> Iterator[None]:
    """The card is there, and every tensor is a fake one."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(torch.cuda, **_answers(card)))
        for holder, name, value in _replacements(card):
            stack.enter_context(mock.patch.object(holder, name, value))
        stack.enter_context(card.attention.installed())
        stack.enter_context(WithoutDriver(allow_non_fake_inputs=False))
        stack.enter_context(card.memory)
        stack.enter_context(card.watch)
        yield


def _answers(card: Card) -> dict[str, Any]:
    """torch.cuda's functions for one card."""
    capability = card.gpu.capability
    assert capability is not None
    properties = SimpleNamespace(
        name=card.gpu.name,
        total_memory=card.gpu.usable,
        major=capability[0],
        minor=capability[1],
        multi_processor_count=card.processors,
        gcnArchName="",
        warp_size=32,
        L2_cache_size=4 << 20,
        regs_per_multiprocessor=1 << 16,
    )
    state = SimpleNamespace(value=torch.zeros(16, dtype=torch.uint8))

    def synchronize(device: Any = None) -> None:
        card.watch.wait("synchronize")

    def mem_get_info(device: Any = None) -> tuple[int, int]:
        return card.gpu.usable - card.memory.live, card.gpu.usable

    fixed = {
        "is_available": True,
        "is_initialized": True,
        "_is_compiled": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": card.gpu.name,
        "get_device_capability": capability,
        "get_device_properties": properties,
        "is_bf16_supported": True,  # by emulation, which is why nobody may rely on it
        "get_rng_state": state.value,
        "get_rng_state_all": [state.value],
        "is_current_stream_capturing": False,
        "device": nullcontext(),
    }
    silent: tuple[str, ...] = ("init", "_lazy_init", "set_device", "empty_cache", "reset_peak_memory_stats")
    silent += ("set_rng_state", "set_rng_state_all", "manual_seed", "manual_seed_all")
    answers: dict[str, Any] = {name: _always(value) for name, value in (fixed | dict.fromkeys(silent)).items()}
    return answers | {"synchronize": synchronize, "mem_get_info": mem_get_info}


def _always(value: Any) -> Any:
    return lambda *args, **kwargs: value


def _replacements(card: Card) -> list[tuple[Any, str, Any]]:
    """Methods that ask for data, or for what fake tensors cannot do."""

    def tolist(tensor: Tensor) -> Any:
        if tensor.device.type == "cuda":
            card.watch.wait("tolist")
        return _nested(list(tensor.shape), 1.0 if tensor.is_floating_point() else 1)

    def step_scaled(scaler: Any, optimizer: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
        card.watch.wait("GradScaler.step")  # asks whether a gradient has overflowed: none has
        return optimizer.step()

    return [
        (Tensor, "pin_memory", lambda tensor, *args: tensor),
        (FakeTensor, "tolist", tolist),
        (nn.Module, "_apply", _apply),
        (torch.amp.GradScaler, "_maybe_opt_step", step_scaled),
        # Optimisers and clipping take all tensors at once, of these classes.
        (import_module("torch.optim.optimizer"), "_foreach_supported_types", [Tensor, nn.Parameter, FakeTensor]),
        (import_module("torch.utils._foreach_utils"), "_foreach_supported_types", [Tensor, FakeTensor]),
        (torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda")),
    ]


def _nested(shape: list[int], value: float) -> Any:
    return [_nested(shape[1:], value) for _ in range(shape[0])] if shape else value


def _apply(module: nn.Module, change: Any, recurse: bool = True) -> nn.Module:
    """nn.Module._apply with new parameters in the place of the old ones: fake tensors cannot change what they hold."""
    for child in module.children() if recurse else ():
        child._apply(change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                changed = change(parameter)
            if changed is not parameter:
                made = nn.Parameter(changed, parameter.requires_grad)
                made.__dict__ |= {key: value for key, value in vars(parameter).items() if key not in made.__dict__}
                module._parameters[name] = made
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module

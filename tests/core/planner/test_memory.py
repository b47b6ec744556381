"""Bytes at rest: 4-bit weights, adapters, optimiser states, each against the real thing."""

from __future__ import annotations

from collections.abc import Callable

import bitsandbytes as bnb
import pytest
import torch
from torch import nn
from transformers import TrainingArguments
from transformers.optimization import Adafactor

from core.planner import memory
from core.planner.model_shape import shape_of
from tests.core.planner.configs import LLAMA_2_7B
from tests.core.planner.measuring import base, config_of, shape, step_for, with_adapter


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("size", [(96, 64), (384, 128), (512, 1000)])
def test_a_4_bit_matrix(size: tuple[int, int], nested: bool) -> None:
    weight = bnb.nn.Params4bit(torch.randn(size), requires_grad=False, quant_type="nf4", compress_statistics=nested)
    packed = weight.to("cpu")
    state = packed.quant_state
    tensors = [packed.data, state.absmax, state.code]
    if nested:
        tensors += [state.offset, state.state2.absmax, state.state2.code]
    expected = memory.packed_bytes(size[0] * size[1], nested=nested)
    assert expected == sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_a_whole_base(family: str) -> None:
    """Of every tensor that the loaded base holds, in 16 bit and NF4."""
    config = config_of(family, hidden_size=128)
    loaded = base(config, 2)
    held = 0
    for parameter in loaded.parameters():
        held += parameter.nbytes
        if state := getattr(parameter, "quant_state", None):
            held += state.absmax.nbytes + state.code.nbytes + state.offset.nbytes
            held += state.state2.absmax.nbytes + state.state2.code.nbytes
    described = shape(config)
    assert memory.linear_bytes(described, 2, load_in_4bit=True) + memory.plain_bytes(described, 2) == held


@pytest.mark.parametrize("names", [None, ("q_proj", "v_proj"), ("q_proj", "embed_tokens")])
def test_adapter_parameters(names: tuple[str, ...] | None) -> None:
    config = config_of("phi3" if names is None else "llama")
    step = step_for(config)
    if names:
        targets = tuple(path for path in step.targets if path.endswith(names))
        step = step_for(config, targets=targets, embeddings="embed_tokens" in names)
    model = with_adapter(base(config, 4, quantised=False).requires_grad_(False), step)
    trained = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(memory.adapter_matrices(step)) == sorted(trained)
    assert memory.adapter_parameters(step) == sum(trained)


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_8bit", "adafactor", "sgd"])
def test_optimiser_states(optim: str) -> None:
    sides = [(16, 512), (16, 64), (8, 100)]
    parameters = [nn.Parameter(torch.randn(side)) for side in sides]
    optimisers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adamw_torch": lambda: torch.optim.AdamW(parameters),
        "adamw_8bit": lambda: bnb.optim.AdamW8bit(parameters),
        "adafactor": lambda: Adafactor(parameters, lr=1e-3, scale_parameter=False, relative_step=False),
        "sgd": lambda: torch.optim.SGD(parameters),
    }
    optimiser = optimisers[optim]()
    TrainingArguments(optim=optim, output_dir="unused")  # transformers knows it by this name
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    shared = {"qmap1", "qmap2"}  # one table for all, not counted
    held = sum(
        value.nbytes
        for state in optimiser.state.values()
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and value.numel() > 1 and name not in shared
    )
    assert memory.state_bytes([rows * columns for rows, columns in sides], optim, sides) == held


def test_known_sizes_of_a_7_b_base() -> None:
    """Dettmers et al. 2023 give 0.127 bit per weight for doubly quantised constants: 4.127 in all."""
    described = shape_of(LLAMA_2_7B, "base")
    bits = 8 * memory.linear_bytes(described, 2, load_in_4bit=True) / described.linear_parameters
    assert bits == pytest.approx(4.127, abs=0.001)
    plain = 8 * memory.linear_bytes(described, 2, load_in_4bit=True, nested=False) / described.linear_parameters
    assert plain == pytest.approx(4.5, abs=0.001)

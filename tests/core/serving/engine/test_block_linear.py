"""4-bit codes are multiplied as they are: nearly the exact product, and a row never depends on what is beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from torch import nn

from core.models.writing_out import written_out
from core.serving.engine.block_linear import BlockLinear, int8_blocks
from core.serving.kernels import runtime
from core.serving.kernels.layout import INT8, NF4

pytestmark = pytest.mark.skipif(bool(runtime.why_not()), reason=f"no compiled kernels: {runtime.why_not()}")
ROWS = (1, 2, 3, 4, 7, 8, 9, 33)


def four_bit(
    in_features: int, out_features: int, *, bias: bool = False, nested: bool = True, quant_type: str = "nf4"
) -> Any:
    torch.manual_seed(0)
    plain = nn.Linear(in_features, out_features, bias=bias)
    layer: Any = Linear4bit(
        in_features,
        out_features,
        bias=bias,
        quant_type=quant_type,
        compress_statistics=nested,
        compute_dtype=torch.float32,
    )
    layer.load_state_dict(plain.state_dict())
    return layer.to("cpu").requires_grad_(False)


@torch.inference_mode()
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_nf4_codes_give_the_product_of_the_values_that_they_stand_for(bias: bool, nested: bool) -> None:
    layer = four_bit(192, 100, bias=bias, nested=nested)  # outputs that are no whole tasks
    block = BlockLinear.of([layer], torch.float32)
    assert [part.kind for part in block.parts] == [NF4]
    assert block.parts[0].codes.data_ptr() == layer.weight.data.data_ptr(), "the codes are not copied"
    for rows in ROWS:
        x = torch.randn(rows, 192)
        expected = nn.functional.linear(x, written_out(layer).float(), layer.bias)
        assert (block(x) - expected).norm() <= 3e-4 * expected.norm()


@torch.inference_mode()
@pytest.mark.parametrize(
    ("in_features", "quant_type"), [(80, "nf4"), (96, "nf4"), (128, "fp4")], ids=["80 inputs", "96 inputs", "fp4"]
)
def test_what_has_no_nf4_blocks_of_its_own_becomes_int8(in_features: int, quant_type: str) -> None:
    layer = four_bit(in_features, 33, quant_type=quant_type)
    block = BlockLinear.of([layer], torch.float32)
    assert [part.kind for part in block.parts] == [INT8]
    for rows in ROWS:
        x = torch.randn(rows, in_features)
        expected = nn.functional.linear(x, written_out(layer).float())
        assert (block(x) - expected).norm() <= 1e-2 * expected.norm()


@torch.inference_mode()
def test_layers_that_read_one_input_keep_their_own_codes_in_one_product() -> None:
    layers = [four_bit(64, size, bias=size == 40) for size in (96, 40)] + [nn.Linear(64, 7)]
    block = BlockLinear.of(layers, torch.float32)
    assert [part.kind for part in block.parts] == [NF4, NF4, INT8]
    x = torch.randn(5, 64)
    expected = torch.cat([nn.functional.linear(x, written_out(layer).float(), layer.bias) for layer in layers], -1)
    torch.testing.assert_close(block(x), expected, rtol=1e-2, atol=1e-2)


@torch.inference_mode()
@pytest.mark.parametrize("in_features", [192, 80])
def test_a_row_is_bit_for_bit_the_same_whatever_is_beside_it(in_features: int) -> None:
    block = BlockLinear.of([four_bit(in_features, 100)], torch.float32)
    x = torch.randn(33, in_features) * torch.logspace(-4, 4, 33)[:, None]
    alone = torch.cat([block(row[None]) for row in x])
    for rows in ROWS:
        assert torch.equal(block(x[:rows]), alone[:rows])


@torch.inference_mode()
def test_weights_and_inputs_of_zeros_give_zeros() -> None:
    weight = torch.randn(8, 64)
    weight[3] = 0
    block = BlockLinear([int8_blocks(weight)], 64, None)
    assert block(torch.randn(2, 64))[:, 3].eq(0).all()
    assert block(torch.zeros(2, 64)).eq(0).all()
    assert block(torch.empty(0, 64)).shape == (0, 8)


def test_codes_take_no_room_and_other_weights_a_byte() -> None:
    assert BlockLinear.bytes_for(four_bit(128, 10)) == 10 * 2 * 4
    assert BlockLinear.bytes_for(nn.Linear(128, 10)) == 10 * 2 * (64 + 4)

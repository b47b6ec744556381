"""A base at full size without weights: what core.models.base.load_model gives, as fake tensors on the card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bitsandbytes as bnb
import torch
import transformers.masking_utils as masking
import trl.kernels.chunked_logprob as chunked_loss
import trl.trainer.utils as trl_utils
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.quantizers import AutoHfQuantizer

from core.models.base import frozen

CONTEXT = 4096  # tokens for which the shapes' configurations are made


class NoKernel:
    """Stands for a Triton kernel, which writes in place and allocates nothing."""

    def __getitem__(self, grid: object) -> Any:
        return lambda *args, **kwargs: None


@contextmanager
def libraries(*, padded: bool = False, packed: bool = False) -> Iterator[None]:
    """TRL's loss as with Triton; masks as transformers makes them by the values of real tensors: for rows of one
    length, padded rows, or packed ones."""
    fast_all, find_packed = masking.fast_all, masking.find_packed_sequence_indices

    def all_of(mask: Tensor) -> bool:
        return bool(fast_all(mask)) and not padded

    def find(position_ids: Tensor) -> Tensor | None:
        found: Tensor | None = find_packed(position_ids)
        return torch.zeros_like(position_ids) if packed else found

    with ExitStack() as stack:
        for module, name, value in (
            (chunked_loss, "_use_triton", _is_cuda),
            (trl_utils, "_use_triton", _is_cuda),
            (chunked_loss, "_forward_kernel", NoKernel()),
            (chunked_loss, "_backward_kernel", NoKernel()),
            (chunked_loss, "triton", SimpleNamespace(cdiv=lambda number, by: -(-number // by))),
            (masking, "is_tracing", lambda tensor=None: False),
            (masking, "fast_all", all_of),
            (masking, "find_packed_sequence_indices", find),
        ):
            stack.enter_context(mock.patch.object(module, name, value, create=True))
        stack.enter_context(mock.patch.dict(bnb.functional.name2qmap, clear=True))  # tables that are real tensors
        yield


def _is_cuda(device: torch.device) -> bool:
    return device.type == "cuda"


def outline(shape: dict[str, Any], dtype: str, *, load_in_4bit: bool = True, nested: bool = True) -> Any:
    """The model without memory, its linear layers replaced by bitsandbytes' as transformers does it."""
    config = AutoConfig.for_model(**shape)
    config.max_position_embeddings = CONTEXT
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    if load_in_4bit:
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=nested,
            bnb_4bit_compute_dtype=dtype,
        )
        model.hf_quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=False)
        model.hf_quantizer.preprocess_model(model=model, device_map={"": "cuda:0"})
    return model


def filled(model: Any, *, nested: bool = True) -> Any:
    """The outline with fake weights on the card, which must be present."""
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.weight = _packed(module, model.dtype, nested)
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            path, _, leaf = name.rpartition(".")
            data = torch.empty(parameter.shape, device="cuda:0", dtype=parameter.dtype)
            model.get_submodule(path)._parameters[leaf] = nn.Parameter(data, requires_grad=False)
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config).to("cuda:0")
    model.tie_weights()
    if getattr(model, "hf_quantizer", None):
        model.hf_quantizer.postprocess_model(model)
    return frozen(model)


def _packed(module: Any, dtype: torch.dtype, nested: bool) -> nn.Parameter:
    """What Params4bit is to those who use it: a tensor subclass itself cannot wrap a fake tensor."""
    whole = torch.empty(module.out_features, module.in_features, device="cuda:0", dtype=dtype)
    packed, state = bnb.functional.quantize_4bit(whole, blocksize=64, compress_statistics=nested, quant_type="nf4")
    weight = nn.Parameter(packed, requires_grad=False)
    facts = {"quant_state": state, "compress_statistics": nested, "quant_type": "nf4", "quant_storage": torch.uint8}
    vars(weight).update(facts | {"blocksize": 64, "bnb_quantized": True, "module": None})
    module.quant_state = state
    return weight

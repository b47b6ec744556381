"""Write a quantised transformers model into a weights file, and read it back as views of the mapped bytes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.functional import QuantState
from bitsandbytes.nn import Linear4bit, Params4bit
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.quantizers import AutoHfQuantizer

from core.models.base import frozen
from core.models.shared_weights.weights_file import WeightsFile, WeightsFileWriter

TensorEntry = dict[str, Any]  # offset in the file, dtype as torch names it, shape
TensorReader = Callable[[TensorEntry], Tensor]


class UnsupportedModel(Exception):
    """This model cannot be read back from a weights file the way it was written."""


def write_model(model: PreTrainedModel, path: Path, identity: dict[str, Any]) -> None:
    """Write all parameters, quantisation states and buffers of a model that was loaded in bitsandbytes 4 bit.

    Tensors that are one in memory (tied embeddings) are one in the file. Raises OSError.
    """
    with WeightsFileWriter(path) as writer:
        write = _TensorWriter(writer)
        parameters: dict[str, Any] = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            parameters[name] = {"data": write(parameter.data)}
            if isinstance(parameter, Params4bit):
                parameters[name]["state"] = _written_state(parameter.quant_state, write)
        writer.seal(
            {
                "identity": identity,
                "dtype": _dtype_name(model.dtype),
                "quantization": model.hf_quantizer.quantization_config.to_dict(),
                "pre_quantized": model.hf_quantizer.pre_quantized,
                "generation": model.generation_config.to_dict() if model.generation_config else None,
                "parameters": parameters,
                "buffers": {name: write(buffer) for name, buffer in model.named_buffers(remove_duplicate=False)},
            }
        )


def rebuild(config: PretrainedConfig, contents: dict[str, Any], tensor: TensorReader) -> PreTrainedModel:
    """The model whose tensors the `contents` of a weights file list and `tensor` returns: frozen, in eval mode.

    It is what `from_pretrained` would have returned. `config` is the base's own, as AutoConfig reads it. Nothing is
    copied, and nothing but the architecture is built.
    Raises UnsupportedModel when the architecture has other tensors than the file, or some that a file cannot hold.
    """
    quantization = BitsAndBytesConfig.from_dict(dict(contents["quantization"]))
    quantizer = AutoHfQuantizer.from_config(quantization, pre_quantized=contents["pre_quantized"])
    config = copy.deepcopy(config)
    vars(config).pop("quantization_config", None)
    try:
        with torch.device("meta"):
            dtype = getattr(torch, contents["dtype"])
            model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        quantizer.preprocess_model(model=model, device_map={"": "cpu"})
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise UnsupportedModel(f"its architecture can't be built without its weights ({error})") from error
    _attach_tensors(model, contents, tensor)
    if contents["generation"] is not None:
        model.generation_config = GenerationConfig.from_dict(contents["generation"])
    model.hf_quantizer = quantizer
    quantizer.postprocess_model(model)
    return frozen(model)


def sample_logits(model: PreTrainedModel) -> Tensor:
    """What the model calculates for a few tokens: [1, 8, vocabulary]."""
    tokens = torch.arange(8, device=model.device)[None] % model.config.get_text_config().vocab_size
    with torch.no_grad():
        logits: Tensor = model(input_ids=tokens).logits
    return logits


def release(model: PreTrainedModel) -> None:
    """Free the memory of a model that nobody will use again. 4-bit weights and their modules point at each other, so
    without this it would stay until the garbage collector comes by."""
    for module in model.modules():
        module._parameters.clear()
        module._buffers.clear()
        vars(module).pop("quant_state", None)


class _TensorWriter:
    """Writes tensors into the file, each memory once."""

    def __init__(self, writer: WeightsFileWriter) -> None:
        self._writer = writer
        self._entries: dict[tuple[Any, ...], TensorEntry] = {}

    def __call__(self, tensor: Tensor) -> TensorEntry:
        key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if key not in self._entries or not tensor.numel():
            flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            offset = self._writer.add(flat.numpy().data)
            self._entries[key] = {"offset": offset, "dtype": _dtype_name(tensor.dtype), "shape": list(tensor.shape)}
        return self._entries[key]


def _written_state(state: QuantState, write: Callable[[Tensor], TensorEntry]) -> dict[str, Any]:
    written: dict[str, Any] = {
        "absmax": write(state.absmax),
        "code": write(state.code),
        "blocksize": state.blocksize,
        "quant_type": state.quant_type,
        "dtype": _dtype_name(state.dtype),
        "shape": list(state.shape),
    }
    if state.nested:
        inner = state.state2
        written["nested"] = {
            "offset": write(state.offset),
            "absmax": write(inner.absmax),
            "code": write(inner.code),
            "blocksize": inner.blocksize,
            "dtype": _dtype_name(inner.dtype),
        }
    return written


def _attach_tensors(model: PreTrainedModel, contents: dict[str, Any], tensor: TensorReader) -> None:
    """Give `model`, which has none yet, its tensors."""
    made: dict[int, nn.Parameter] = {}  # by offset: tied parameters must be one object, not two views
    wanted = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    wanted |= {name for name, _ in model.named_buffers(remove_duplicate=False)}
    if unlike := wanted ^ {*contents["parameters"], *contents["buffers"]}:
        raise UnsupportedModel(
            f"its architecture names other tensors than its weights do ({', '.join(sorted(unlike)[:3])})"
        )
    for name, entry in contents["parameters"].items():
        module, leaf = _module_of(model, name)
        offset = entry["data"]["offset"]
        if offset not in made:
            data = tensor(entry["data"])
            if "state" in entry:
                made[offset] = _quantised_parameter(data, _read_state(entry["state"], tensor), module)
            else:
                made[offset] = nn.Parameter(data, requires_grad=False)
        module._parameters[leaf] = made[offset]
    for name, entry in contents["buffers"].items():
        module, leaf = _module_of(model, name)
        module._buffers[leaf] = tensor(entry)
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and value.is_meta:
                raise UnsupportedModel(f"{path}.{name} is neither a parameter nor a buffer")


def _quantised_parameter(data: Tensor, state: QuantState, module: nn.Module) -> Params4bit:
    if not isinstance(module, Linear4bit):
        raise UnsupportedModel(f"a {type(module).__name__} is quantised, and only linear layers are expected to be")
    module.quant_state = state
    return Params4bit(
        data,
        requires_grad=False,
        quant_state=state,
        blocksize=state.blocksize,
        compress_statistics=state.nested,
        quant_type=state.quant_type,
        quant_storage=data.dtype,
        module=module,
        bnb_quantized=True,
    )


def _read_state(written: dict[str, Any], tensor: TensorReader) -> QuantState:
    nested = written.get("nested")
    inner = None
    if nested is not None:
        inner = QuantState(
            absmax=tensor(nested["absmax"]),
            code=tensor(nested["code"]),
            blocksize=nested["blocksize"],
            dtype=getattr(torch, nested["dtype"]),
        )
    return QuantState(
        absmax=tensor(written["absmax"]),
        code=tensor(written["code"]),
        blocksize=written["blocksize"],
        quant_type=written["quant_type"],
        dtype=getattr(torch, written["dtype"]),
        shape=torch.Size(written["shape"]),
        offset=tensor(nested["offset"]) if nested is not None else None,
        state2=inner,
    )


def mapped_view(weights: WeightsFile, entry: TensorEntry) -> Tensor:
    """A tensor with a storage of its own over its part of the mapping (torch keeps the mapping alive)."""
    dtype, shape = getattr(torch, entry["dtype"]), entry["shape"]
    if not (count := math.prod(shape)):
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(weights.data, dtype=dtype, count=count, offset=entry["offset"]).view(shape)


def device_view(memory: Tensor, entry: TensorEntry) -> Tensor:
    """A tensor over its part of a weights file whose bytes lie in `memory`, on any device."""
    dtype, start = getattr(torch, entry["dtype"]), entry["offset"]
    nbytes = dtype.itemsize * math.prod(entry["shape"])
    return memory[start : start + nbytes].view(dtype).view(entry["shape"])


def _module_of(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""A PEFT LoRA adapter of a Llama base as llama.cpp reads it.

The names are those of llama.cpp's own convert_lora_to_gguf.py, and so is the order of the rows of queries and keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Weights: TypeAlias = Mapping[str, NDArray[np.float32]]

LAYERS = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
WEIGHT = re.compile(r"layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])\.weight$")


def interleaved(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows (heads * size, any) of queries or keys, with the two halves of each head by turns: llama.cpp's rotary order.

    transformers turns i and i + size / 2 together, llama.cpp 2i and 2i + 1.
    """
    return rows.reshape(heads, 2, -1, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def gguf_tensors(weights: Weights, config: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """PEFT's A (rank, in) and B (out, rank) under llama.cpp's names; `config` is the base's config.json.

    Raises ValueError for what is no LoRA matrix of a linear layer of Llama's.
    """
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    tensors = {}
    for name, weight in weights.items():
        found = WEIGHT.search(name)
        if found is None or found[2] not in LAYERS:
            raise ValueError(f"llama.cpp has no place for {name}")
        layer, linear, matrix = found.groups()
        if matrix == "B" and linear in heads:
            weight = interleaved(weight, heads[linear])
        tensors[f"blk.{layer}.{LAYERS[linear]}.weight.lora_{matrix.lower()}"] = weight
    return tensors


def write_gguf_adapter(folder: Path, base: Path, path: Path) -> None:
    """`folder` holds PEFT's files, `base` the base's config.json. llama.cpp calculates the scale, alpha / rank."""
    from gguf import GGUFWriter

    config = json.loads((base / "config.json").read_text())
    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", json.loads((folder / "adapter_config.json").read_text())["lora_alpha"])
    weights = {
        name: weight.astype(np.float32) for name, weight in load_file(folder / "adapter_model.safetensors").items()
    }
    for name, tensor in gguf_tensors(weights, config).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

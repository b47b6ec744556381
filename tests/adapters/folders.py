"""Small adapter folders as PEFT writes them, made without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
from safetensors.numpy import save_file

LINEARS = {
    f"model.layers.{layer}.{module}": (16, 8) for layer in range(2) for module in ("self_attn.q_proj", "mlp.up_proj")
}


def weights(linears: dict[str, tuple[int, int]] = LINEARS, rank: int = 4, seed: int = 0) -> dict[str, numpy.ndarray]:
    """LoRA matrices for `linears` (module path -> (out_features, in_features)), under PEFT's names."""
    random = numpy.random.default_rng(seed)
    tensors = {}
    for module, (out_features, in_features) in linears.items():
        key = f"base_model.model.{module}"
        tensors[f"{key}.lora_A.weight"] = random.normal(size=(rank, in_features)).astype(numpy.float32)
        tensors[f"{key}.lora_B.weight"] = random.normal(size=(out_features, rank)).astype(numpy.float32)
    return tensors


def config(**changes: Any) -> dict[str, Any]:
    """An adapter_config.json as PEFT writes it, as far as it matters here."""
    values = {
        "auto_mapping": None,
        "base_model_name_or_path": "guanaco-builtin",
        "bias": "none",
        "init_lora_weights": True,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": 4,
        "target_modules": ["q_proj", "up_proj"],
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    return values | changes


def write_adapter(folder: Path, *, tensors: dict[str, numpy.ndarray] | None = None, **changes: Any) -> Path:
    """A whole adapter folder with a tokenizer and TensorBoard events; `changes` go into its configuration."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(config(**changes)))
    save_file(tensors or weights(), folder / "adapter_model.safetensors")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events.out.tfevents.1.host.2.0").write_bytes(b"events")
    return folder

"""The recipes that are rehearsed: the default one for a Hub base, and with each setting changed that takes memory."""

from __future__ import annotations

from typing import Any

from core.recipes.fields import OPTIMISERS
from core.recipes.recipe import Recipe

ATTENTION_ONLY = ["q_proj", "v_proj"]
WITH_EMBEDDINGS = ["embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VARIED: list[dict[str, Any]] = [
    {},
    *({"max_length": length} for length in (512, 2048, 4096)),
    *({"per_device_train_batch_size": rows} for rows in (2, 4)),
    *({"lora_r": rank} for rank in (1, 8, 64, 128, 256)),
    *({"optim": name} for name in OPTIMISERS),
    {"packing": True},
    {"packing": True, "per_device_train_batch_size": 2},
    {"lora_dropout": 0.1},
    {"lora_target_modules": ATTENTION_ONLY},
    {"lora_target_modules": WITH_EMBEDDINGS},
    {"use_bnb_nested_quant": False},
    {"load_in_4bit": False},
    {"load_in_4bit": False, "lora_r": 128},
    {"load_in_4bit": False, "max_length": 2048},
    {"load_in_4bit": False, "gradient_checkpointing": False, "max_length": 512},
    {"gradient_checkpointing": False},
    {"gradient_checkpointing": False, "max_length": 512},
    {"gradient_checkpointing": False, "max_length": 512, "lora_r": 128},
    {"gradient_checkpointing": False, "max_length": 512, "per_device_train_batch_size": 2},
    {"gradient_checkpointing": False, "max_length": 512, "lora_dropout": 0.1},
    {"gradient_checkpointing": False, "max_length": 512, "packing": True},
    {"lora_r": 64, "max_length": 512},
    {"lora_r": 256, "max_length": 512},
    {"lora_r": 256, "optim": "adamw_torch", "max_length": 2048},
]


def recipe_for(settings: dict[str, Any]) -> Recipe:
    """The settings on top of those of a rehearsal: two optimiser steps of one micro-step each."""
    fixed = {
        "model_name_or_path": "builtin",  # its tokenizer only; the rest is as it is by default for a Hub base
        "dataset_name": "none",
        "eval_fraction": 0.0,
        "max_steps": 2,
        "save_steps": 1000,
        "gradient_accumulation_steps": 1,
        "per_device_train_batch_size": 1,
        "gradient_checkpointing": True,
        "max_length": 1024,
        "optim": "adamw_8bit",
    }
    return Recipe.from_dict(fixed | settings)

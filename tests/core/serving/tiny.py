"""Tiny random bases of several families, and adapters for them that PEFT itself has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from core.models.base import BaseSource

SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
CHAT_TEMPLATE = (
    "<s>{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

SMALL: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,  # so that greedy choices are clear-cut
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, {}),
    "llama-tied": (LlamaConfig, {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "mistral": (MistralConfig, {"sliding_window": 12}),
    "qwen2": (Qwen2Config, {"tie_word_embeddings": True}),
    "qwen2-sliding": (Qwen2Config, {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}),
    "qwen3": (Qwen3Config, {"head_dim": 16}),
    "phi3": (Phi3Config, {"sliding_window": 12}),
    "gemma2": (Gemma2Config, {"head_dim": 16, "sliding_window": 12, "query_pre_attn_scalar": 16}),
}


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, and the special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    fast.add_special_tokens({"additional_special_tokens": SPECIAL[3:]})
    fast.chat_template = CHAT_TEMPLATE
    return fast


def model(family: str = "llama", seed: int = 0, **changes: Any) -> PreTrainedModel:
    kind, own = FAMILIES[family]
    torch.manual_seed(seed)
    config = kind(**(SMALL | own | {"vocab_size": len(SPECIAL) + 256} | changes))
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


def base_folder(folder: Path, family: str = "llama", **changes: Any) -> Path:
    """A base on disk, as a person would name it with --base."""
    made = model(family, **changes)
    made.generation_config.eos_token_id = 2
    made.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def adapter(folder: Path, base: PreTrainedModel | Path, *, seed: int = 1, base_id: str = "tiny", **lora: Any) -> Path:
    """A PEFT folder with random weights in A and in B, large enough to change what the base says."""
    loaded = AutoModelForCausalLM.from_pretrained(base) if isinstance(base, Path) else base
    settings: dict[str, Any] = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    wrapped: PeftModel = get_peft_model(loaded, LoraConfig(**(settings | lora)))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.15
    wrapped.peft_config["default"].base_model_name_or_path = str(base) if isinstance(base, Path) else base_id
    wrapped.save_pretrained(folder)
    wrapped.unload()
    return folder


def source(folder: Path) -> BaseSource:
    return BaseSource(str(folder), str(folder), local=True)


__all__ = ["FAMILIES", "adapter", "base_folder", "model", "source", "tokenizer"]

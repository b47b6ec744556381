"""What a layer keeps for its backward: predicted against saved tensors of real models, within two per cent."""

from __future__ import annotations

from typing import Any

import pytest
import trl.trainer.utils

from core.planner import memory
from core.planner.memory import MATH, layer_bytes
from core.planner.model_shape import FAMILIES
from tests.core.planner.measuring import config_of, saved_bytes, step_for, step_peak
from tests.sweeps import sweep

TWO_PER_CENT = 0.02


def check(family: str, changes: dict[str, Any] | None = None, **settings: Any) -> None:
    config = config_of(family, **(changes or {}))
    step = step_for(config, **settings)
    assert layer_bytes(step) == pytest.approx(saved_bytes(config, step), rel=TWO_PER_CENT)


@pytest.mark.parametrize("width", [4, 2])
@pytest.mark.parametrize("family", sweep(FAMILIES, fast=("llama", "gemma2", "qwen3")))
def test_every_family_in_both_widths(family: str, width: int) -> None:
    check(family, width=width)


@pytest.mark.parametrize(("family", "width"), [("llama", 4), ("llama", 2), ("phi3", 2), ("gemma2", 2)])
def test_padding_needs_a_mask_and_repeats_keys_and_values(family: str, width: int) -> None:
    check(family, width=width, rows=2, masked=True)


@pytest.mark.parametrize("heads", [1, 4])
def test_grouped_and_full_attention(heads: int) -> None:
    check("llama", {"num_key_value_heads": heads}, width=2)


@pytest.mark.parametrize("width", [4, 2])
def test_grouped_heads_without_flash_attention_keep_all_scores(width: int) -> None:
    config = config_of("qwen2")
    step = step_for(config, width=width, flash=False)
    assert step.attention == MATH
    assert layer_bytes(step) == pytest.approx(saved_bytes(config, step), rel=TWO_PER_CENT)


def test_scores_grow_with_the_square_of_the_length() -> None:
    check("gemma2", width=2, length=512)
    check("qwen2", width=2, length=512, flash=False)


@pytest.mark.parametrize("width", [4, 2])
def test_dropout_gives_each_adapter_an_input_of_its_own(width: int) -> None:
    check("llama", width=width, dropout=True)


@pytest.mark.parametrize("names", [("q_proj", "v_proj"), ("o_proj",), ("gate_proj", "down_proj")])
def test_layers_without_adapter_keep_no_input(names: tuple[str, ...]) -> None:
    config = config_of("llama")
    step = step_for(config, width=2)
    targets = tuple(path for path in step.targets if path.endswith(names))
    check("llama", width=2, targets=targets)


@pytest.mark.parametrize(("family", "width"), [("llama", 4), ("llama", 2), ("gemma", 2), ("qwen3", 2)])
def test_training_all_weights(family: str, width: int) -> None:
    check(family, width=width, adapter=0, targets=(), quantised=False)


def test_lora_on_an_unquantised_base_casts_each_input() -> None:
    check("llama", width=2, quantised=False)


WHOLE_STEPS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "llama": ("llama", 2, {}),
    "checkpointing": ("llama", 4, {"checkpointing": True}),
    "padding": ("llama", 2, {"checkpointing": True, "masked": True, "rows": 2, "length": 256}),
    "without flash attention": ("qwen2", 2, {"checkpointing": True, "flash": False}),
    "phi3": ("phi3", 2, {"checkpointing": True}),
    "gemma2": ("gemma2", 2, {"checkpointing": True}),
    "gemma3": ("gemma3_text", 2, {"checkpointing": True}),
    "a base in 16 bit": ("llama", 2, {"checkpointing": True, "quantised": False}),
}


@pytest.mark.parametrize("name", sweep(WHOLE_STEPS, fast=("llama", "checkpointing")))
def test_peak_of_a_whole_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tensors alive at the worst moment of forward, TRL's fused loss, and backward."""
    family, width, settings = WHOLE_STEPS[name]
    # Small tiles for a small vocabulary: else the loss would outweigh all layers.
    monkeypatch.setattr(memory, "LOSS_COLUMNS", 64)
    monkeypatch.setattr(trl.trainer.utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", 64)
    config = config_of(family, intermediate_size=224, vocab_size=64)
    step = step_for(config, **({"width": width, "length": 384, "adapter": 4} | settings))
    assert memory.peak_memory(step).floating == pytest.approx(step_peak(config, step), rel=TWO_PER_CENT)


def test_the_loss_outweighs_the_layers_where_the_vocabulary_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOSS_COLUMNS", 1024)
    monkeypatch.setattr(trl.trainer.utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", 1024)
    config = config_of("llama", vocab_size=1024)
    step = step_for(config, checkpointing=True)
    predicted = memory.peak_memory(step)
    assert predicted.logits > predicted.working
    assert predicted.floating == pytest.approx(step_peak(config, step), rel=TWO_PER_CENT)

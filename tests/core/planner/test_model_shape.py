"""Shapes from config.json: counted as transformers builds them, refused where they cannot be counted right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adapters.common.errors import UserError
from core.planner.model_shape import FAMILIES, read_shape, shape_of
from tests.core.planner.configs import LLAMA_2_7B, LLAMA_3_1_8B, MIXTRAL, QWEN_2_5_1_5B, QWEN_2_5_7B
from tests.core.planner.measuring import config_of, shape


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_the_real_model(family: str) -> None:
    config = config_of(family)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    described = shape(config)
    assert described.parameters == sum(parameter.numel() for parameter in model.parameters())
    linears = {
        path.removeprefix("model.layers.0."): (module.out_features, module.in_features)
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and path.startswith("model.layers.0.")
    }
    assert described.linears == linears


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_biases_where_the_config_wants_them(family: str) -> None:
    config = config_of(family, attention_bias=True, **({"mlp_bias": True} if family == "llama" else {}))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert shape(config).parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_config_json_leaves_out_is_what_transformers_assumes(family: str, tmp_path: Path) -> None:
    """Few keys, as some Hub repositories have them: transformers' own defaults fill the rest."""
    few = {"hidden_size": 96, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    few |= {"vocab_size": 32, "num_key_value_heads": 2}
    described = shape_of({"model_type": family, **few}, "few")
    config = AutoConfig.for_model(family, **few, pad_token_id=0)
    assert described.tied == config.tie_word_embeddings
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    query = next(module for path, module in model.named_modules() if path.endswith(("q_proj", "qkv_proj")))
    assert query.out_features == described.queries + (2 * described.keys if FAMILIES[family].fused else 0)


@pytest.mark.parametrize(
    ("config", "billions"),
    [(LLAMA_2_7B, 6.738), (LLAMA_3_1_8B, 8.030), (QWEN_2_5_7B, 7.616), (QWEN_2_5_1_5B, 1.544)],
)
def test_published_sizes(config: dict[str, Any], billions: float) -> None:
    """The numbers on the models' own cards."""
    assert shape_of(config, "base").parameters / 1e9 == pytest.approx(billions, abs=0.001)


def test_a_folder_and_a_file_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_2_7B))
    folder, file = read_shape(str(tmp_path)), read_shape(str(tmp_path / "config.json"))
    assert folder == file
    assert folder.name == tmp_path.name


def test_the_builtin_base() -> None:
    assert read_shape("builtin").parameters > 1_000_000


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (MIXTRAL, "mixture of experts"),
        ({"model_type": "mamba", "hidden_size": 8}, "does not know the architecture 'mamba'"),
        ({"model_type": "llama", "hidden_size": 8}, "lacks intermediate_size"),
        (LLAMA_2_7B | {"num_attention_heads": 0}, "lacks num_attention_heads, or has no whole number above 0"),
        (LLAMA_2_7B | {"hidden_size": "4096"}, "lacks hidden_size"),
        (LLAMA_2_7B | {"num_key_value_heads": -1}, "no whole number above 0 for num_key_value_heads"),
        (LLAMA_2_7B | {"num_attention_heads": 8192}, "no whole number above 0 for head_dim"),
        (LLAMA_2_7B | {"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantised already \(gptq\)"),
        (LLAMA_2_7B | {"quantization_config": "awq"}, r"quantised already \(awq\)"),
    ],
)
def test_what_cannot_be_counted_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        shape_of(config, "base")


@pytest.mark.parametrize("text", ["not json", "[]"])
def test_a_broken_config_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        read_shape(str(path))


def test_a_hub_base_that_cannot_be_had() -> None:
    with pytest.raises(UserError, match="Hub could not be reached"):
        read_shape("nobody/nothing")


def test_targets_are_matched_as_peft_matches_them() -> None:
    base = shape_of(LLAMA_2_7B, "base")
    assert base.targets("all-linear") == base.linears
    assert list(base.targets(["q_proj", "mlp.down_proj"])) == ["self_attn.q_proj", "mlp.down_proj"]
    assert list(base.targets(r".*\.(k|v)_proj")) == ["self_attn.k_proj", "self_attn.v_proj"]
    with pytest.raises(UserError, match="gate_proj"):
        base.targets(["query"])


def test_a_window_that_is_switched_off_does_not_count() -> None:
    qwen = QWEN_2_5_7B | {"sliding_window": 131072}
    assert shape_of(qwen | {"use_sliding_window": False}, "base").window is None
    assert shape_of(qwen | {"use_sliding_window": True}, "base").window == 131072

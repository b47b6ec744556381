"""What an adapter's files say, and every way in which they can be wrong."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from adapters.bases import with_same_base
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, inspect, why_not, why_not_slots
from adapters.folder_layout import known_files
from adapters.record import AdapterRecord
from tests.adapters.folders import LINEARS, config, weights, write_adapter

BASE = BaseFacts("guanaco-builtin", "f00d", LINEARS)


def test_facts_are_read_from_the_files(tmp_path: Path) -> None:
    facts = inspect(write_adapter(tmp_path / "a"))
    assert facts.base_model == "guanaco-builtin"
    assert facts.max_rank == 4
    assert facts.size_bytes == (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
    assert {m: (p.out_features, p.in_features) for m, p in facts.pairs.items()} == LINEARS
    assert facts.odd_tensors == []
    assert why_not(facts, BASE) is None
    assert why_not_slots(facts, 4) is None


def test_scaling_follows_peft(tmp_path: Path) -> None:
    patterns: dict[str, Any] = {"rank_pattern": {"up_proj": 2}, "alpha_pattern": {r"layers\.1\.mlp\.up_proj": 16}}
    plain = inspect(write_adapter(tmp_path / "plain", **patterns))
    assert plain.scaling("model.layers.0.self_attn.q_proj") == 8 / 4
    assert plain.scaling("model.layers.0.mlp.up_proj") == 8 / 2
    assert plain.scaling("model.layers.1.mlp.up_proj") == 16 / 2
    rs = inspect(write_adapter(tmp_path / "rs", use_rslora=True, **patterns))
    assert rs.scaling("model.layers.1.mlp.up_proj") == pytest.approx(16 / math.sqrt(2))


def test_what_peft_writes_is_whole_and_servable(tmp_path: Path) -> None:
    """Against the real library: its saved folder, its scaling and its names are the ones this module expects."""
    torch = pytest.importorskip("torch")
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny = LlamaConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=32,
    )
    model = LlamaForCausalLM(tiny)
    linears = {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    }
    settings = LoraConfig(
        r=4, lora_alpha=6, target_modules="all-linear", use_rslora=True, task_type="CAUSAL_LM",
        rank_pattern={"k_proj": 2}, alpha_pattern={"layers.1.mlp.up_proj": 12},
    )  # fmt: skip
    peft_model = get_peft_model(model, settings)
    peft_model.peft_config["default"].base_model_name_or_path = "tiny"
    peft_model.save_pretrained(tmp_path / "a")
    facts = inspect(tmp_path / "a")
    assert why_not(facts, BaseFacts("tiny", None, linears)) is None
    assert why_not_slots(facts, 4) is None
    assert set(facts.pairs) == set(linears)
    for module in linears:
        assert facts.scaling(module) == pytest.approx(model.get_submodule(module).scaling["default"]), module


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "lm_head"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"init_lora_weights": "pissa_niter_16"}, "pissa_niter_16"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
        ({"a_field_of_the_future": {"x": 1}}, "a_field_of_the_future"),
        ({"r": 2}, "rank"),
    ],
)
def test_what_slots_cannot_calculate_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    assert reason in (why_not_slots(inspect(write_adapter(tmp_path / "a", **changes)), 16) or "")


def test_rank_above_the_slots_and_odd_tensors_are_refused(tmp_path: Path) -> None:
    facts = inspect(write_adapter(tmp_path / "a"))
    assert "up to 2" in (why_not_slots(facts, 2) or "")
    extra = weights() | {"base_model.model.lm_head.weight": numpy.zeros((4, 8), numpy.float32)}
    odd = inspect(write_adapter(tmp_path / "b", tensors=extra))
    assert "lm_head" in (why_not_slots(odd, 16) or "")


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    facts = inspect(write_adapter(tmp_path / "a", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf"))
    reason = why_not(facts, BASE)
    assert reason and "meta-llama/Llama-2-7b-chat-hf" in reason and "guanaco-builtin" in reason


def test_of_a_base_on_disk_only_the_last_part_counts(tmp_path: Path) -> None:
    facts = inspect(write_adapter(tmp_path / "a", base_model_name_or_path="/somewhere/models/my-llama/"))
    assert why_not(facts, BaseFacts("my-llama")) is None
    assert why_not(facts, BaseFacts("/elsewhere/my-llama")) is None
    assert why_not(facts, BaseFacts("/somewhere/models/another")) is not None


def test_other_weights_or_shapes_are_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    wide = {module: (shape[0] * 2, shape[1]) for module, shape in LINEARS.items()}
    assert "32 x 8" in (why_not(inspect(folder), BaseFacts("guanaco-builtin", None, wide)) or "")
    assert "does not have" in (why_not(inspect(folder), BaseFacts("guanaco-builtin", None, {"x": (1, 1)})) or "")
    (folder / "studio.json").write_text(
        json.dumps({"version": 1, "name": "a", "base_model": "guanaco-builtin", "base_fingerprint": "beef"})
    )
    assert "fingerprints" in (why_not(inspect(folder), BASE) or "")


def test_a_persons_word_counts_more_than_names_and_less_than_shapes(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", base_model_name_or_path="ada/copy")
    assert why_not(inspect(folder), BASE) is not None, "equal shapes alone never suffice"
    record = with_same_base(AdapterRecord("a", "ada/copy"), BASE.id, BASE.fingerprint)
    (folder / "studio.json").write_text(record.to_json())
    assert why_not(inspect(folder), BASE) is None
    wide = {module: (shape[0] * 2, shape[1]) for module, shape in LINEARS.items()}
    assert "that layer is 32 x 8" in (why_not(inspect(folder), BaseFacts(BASE.id, BASE.fingerprint, wide)) or "")


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UserError, match="pickle"):
        inspect(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(UserError, match=r"has no adapter_model\.safetensors"):
        inspect(folder)
    (folder / "adapter_config.json").unlink()
    with pytest.raises(UserError, match=r"has no adapter_config\.json"):
        inspect(folder)
    with pytest.raises(UserError, match="no adapter folder"):
        inspect(tmp_path / "nowhere")


def test_a_link_in_place_of_the_weights_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "adapter_model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="link"):
        inspect(folder)


@pytest.mark.parametrize("keep", [0, 5, 8, 100, -1])
def test_a_truncated_file_is_found_wherever_it_ends(tmp_path: Path, keep: int) -> None:
    path = write_adapter(tmp_path / "a") / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="truncated"):
        inspect(tmp_path / "a")


def test_a_file_that_is_longer_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = write_adapter(tmp_path / "a") / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="longer"):
        inspect(tmp_path / "a")


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"not json",
        b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}',
        b'{"a": {"shape": [1]}}',
        b'{"a": 3}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_header_is_refused(tmp_path: Path, header: bytes) -> None:
    path = write_adapter(tmp_path / "a") / "adapter_model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(UserError, match="malformed"):
        inspect(tmp_path / "a")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_adapter(tmp_path / "a") / "adapter_model.safetensors"
    path.write_bytes(b"\x80\x04\x95 this is a pickle, renamed")
    with pytest.raises(UserError, match="not a safetensors file"):
        inspect(tmp_path / "a")
    save_file({}, path)
    with pytest.raises(UserError, match="no tensors"):
        inspect(tmp_path / "a")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "{}",
        json.dumps(config(peft_type=None)),
        json.dumps(config(base_model_name_or_path="")),
        json.dumps(config(r=0)),
        json.dumps(config(r="16")),
        json.dumps(config(lora_alpha=None)),
        json.dumps(config(rank_pattern=[1])),
        json.dumps(config(rank_pattern={"(": 4})),
        json.dumps(config(alpha_pattern={"up_proj": "much"})),
        " " * 2_000_000,
    ],
)
def test_a_malformed_configuration_is_refused(tmp_path: Path, content: str) -> None:
    (write_adapter(tmp_path / "a") / "adapter_config.json").write_text(content)
    with pytest.raises(UserError, match=r"adapter_config\.json"):
        inspect(tmp_path / "a")


def test_only_what_belongs_to_an_adapter_is_known() -> None:
    unwanted = [
        "studio.json", "training_args.bin", "adapter_model.bin", "optimizer.pt", ".gitattributes",
        "checkpoint-1/README.md",
        "../README.md", "tensorboard/../README.md", "tensorboard/x.py", "tensorboard/events.out.tfevents.1/../../x",
    ]  # fmt: skip
    wanted = ["README.md", "adapter_config.json", "tensorboard/events.out.tfevents.17.host.3.0", "tokenizer.json"]
    assert known_files(unwanted + wanted) == sorted(wanted)

"""The plan as people use it: verdicts, the nearest recipe, chat beside it, the bars."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from core.planner import CHAT, Chat, Gpu, ModelShape, Plan, compare_methods, describe_changes, memory, plan_run
from core.planner.model_shape import shape_of
from core.recipes.recipe import Recipe
from core.serving.kernels import runtime
from core.serving.kv_budget import choose_kv_budget
from core.serving.running_engine import EngineMemory
from core.serving.settings import EngineSettings
from tests.core.planner.configs import LLAMA_2_7B, LLAMA_3_1_8B, QWEN_2_5_7B

GIB = 1 << 30
T4 = Gpu.find("t4")


def recipe(**settings: Any) -> Recipe:
    return Recipe.from_dict({"model_name_or_path": "base", "dataset_name": "data"} | settings)


def planned(config: dict[str, Any], gpu: Gpu = T4, chat: Chat | None = Chat(), **settings: Any) -> Plan:  # noqa: B008
    return plan_run(recipe(**settings), gpu, shape=shape_of(config, "base"), chat=chat)


def part(of: Plan, name: str) -> int:
    return next(part.bytes for part in of.parts if part.name == name)


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    check = (
        "import sys, core.planner; sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_parts_add_up_and_are_explained() -> None:
    of = planned(LLAMA_2_7B)
    assert of.total == sum(part.bytes for part in of.parts)
    assert all(part.explanation.endswith(".") for part in of.parts)
    assert len({part.name for part in of.parts}) == len(of.parts)


def test_llama_2_7b_fits_a_t4_beside_the_chat() -> None:
    of = planned(LLAMA_2_7B, optim="adamw_8bit")
    assert of.fits
    assert of.nearest is None
    assert "It fits" in of.reason


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ({"lora_r": 64}, {"Adapter", "Gradients", "Optimiser states", "Adapter in 16 bit"}),
        ({"lora_r": 256, "optim": "adamw_torch"}, {"Adapter in 16 bit", "Optimiser's step"}),
        ({"max_length": 2048}, {"Activations kept", "Layer at work"}),
        ({"gradient_checkpointing": False}, {"Activations kept"}),
        ({"per_device_train_batch_size": 2}, {"Activations kept"}),
        ({"load_in_4bit": False}, {"Base weights"}),
        ({"use_bnb_nested_quant": False}, {"Base weights"}),
        ({"lora_dropout": 0.1}, {"Layer at work"}),
    ],
)
def test_each_setting_costs_where_it_should(setting: dict[str, Any], more: set[str]) -> None:
    before, after = planned(LLAMA_2_7B, chat=None), planned(LLAMA_2_7B, chat=None, **setting)
    sizes = {memory.name: memory.bytes for memory in before.parts}
    grown = {memory.name for memory in after.parts if memory.bytes > sizes.get(memory.name, 0)}
    assert more <= grown


def test_chat_is_a_second_copy_unless_it_is_shared() -> None:
    alone = planned(LLAMA_2_7B, chat=None)
    shared = planned(LLAMA_2_7B, chat=Chat(shared=True))
    apart = planned(LLAMA_2_7B, chat=Chat(shared=False))
    copy = part(alone, "Base weights") + part(alone, "Embeddings and head")
    assert apart.total - shared.total == copy
    assert not [memory for memory in alone.parts if memory.owner == CHAT]
    assert shared.total - alone.total == sum(memory.bytes for memory in shared.parts if memory.owner == CHAT)


def test_chat_remembers_as_many_tokens_as_it_is_given() -> None:
    few, many = (
        planned(LLAMA_2_7B, chat=Chat(EngineSettings(kv_tokens=1024))),
        planned(LLAMA_2_7B, chat=Chat(EngineSettings(kv_tokens=3072))),
    )
    # Keys and values of 32 layers of 4096 numbers of two bytes.
    assert many.total - few.total == 2048 * 2 * 32 * 4096 * 2


def test_grouped_heads_on_a_card_without_flash_attention_are_said_to_cost() -> None:
    """transformers asks torch for grouped heads, and on a T4 only the kernel that keeps all scores has them."""
    with_flash = replace(T4, capability=(8, 0))
    plain, costly = planned(LLAMA_3_1_8B, with_flash, chat=None), planned(LLAMA_3_1_8B, chat=None)
    assert part(costly, "Layer at work") > 1.5 * part(plain, "Layer at work")
    assert any("no flash attention" in memory.explanation for memory in costly.parts)
    # With padding or packing there is a mask, and keys and values are repeated instead.
    assert part(planned(LLAMA_3_1_8B, chat=None, packing=True), "Layer at work") < part(costly, "Layer at work")


def test_no_row_is_longer_than_the_longest_conversation_unless_packed() -> None:
    shape = shape_of(LLAMA_2_7B, "base")

    def total(lengths: list[int], **settings: Any) -> int:
        return plan_run(recipe(max_length=4096, **settings), T4, shape=shape, dataset_lengths=lengths).total

    assert total([100, 512]) == planned(LLAMA_2_7B, max_length=512).total
    assert total([100, 9000]) == planned(LLAMA_2_7B, max_length=4096).total
    assert total([100, 512], packing=True) == planned(LLAMA_2_7B, max_length=4096, packing=True).total


class TestNearest:
    """The smallest change that fits, and nothing that need not change."""

    def test_a_large_batch_becomes_accumulation(self) -> None:
        of = planned(LLAMA_2_7B, per_device_train_batch_size=16, gradient_accumulation_steps=1, max_length=2048)
        assert not of.fits
        assert of.nearest
        small, steps = of.nearest.per_device_train_batch_size, of.nearest.gradient_accumulation_steps
        assert small * steps == 16
        assert of.nearest.max_length == 2048
        assert of.nearest.lora_r == of.recipe.lora_r
        assert of.reason.count("instead of") == len(describe_changes(of.recipe, of.nearest))

    def test_checkpointing_comes_before_shorter_conversations(self) -> None:
        of = planned(LLAMA_2_7B, gradient_checkpointing=False, max_length=2048)
        assert of.nearest
        assert of.nearest.gradient_checkpointing
        assert of.nearest.max_length == 2048

    def test_the_nearest_fits_and_one_step_less_does_not(self) -> None:
        of = planned(QWEN_2_5_7B, max_length=4096, per_device_train_batch_size=4, gradient_checkpointing=False)
        assert of.nearest
        shape = shape_of(QWEN_2_5_7B, "base")
        assert plan_run(of.nearest, T4, shape=shape).fits
        for name, value in of.nearest.to_dict().items():
            if value != getattr(of.recipe, name) and name not in ("gradient_accumulation_steps", "lora_alpha"):
                undone = replace(of.nearest, **{name: getattr(of.recipe, name)})
                assert not plan_run(undone, T4, shape=shape).fits, name

    def test_cutting_little_comes_before_a_lower_rank(self) -> None:
        shape = shape_of(LLAMA_3_1_8B, "base")
        given = recipe(max_length=4096, packing=True, optim="adamw_8bit")
        chat = Chat(EngineSettings(kv_tokens=2048))
        cut_little = plan_run(given, T4, shape=shape, dataset_lengths=[300] * 500 + [3000], chat=chat)
        assert cut_little.nearest
        assert describe_changes(given, cut_little.nearest) == ["max_length 2048 instead of 4096"]

    def test_nothing_helps_a_base_that_is_too_large(self) -> None:
        of = planned(LLAMA_2_7B | {"num_hidden_layers": 320}, chat=None)
        assert not of.fits
        assert of.nearest is None
        assert "smaller base" in of.reason

    def test_stopping_the_chat_is_offered_where_it_helps(self) -> None:
        of = planned(LLAMA_2_7B, chat=Chat(EngineSettings(kv_tokens=20_000)))
        assert not of.fits
        assert of.without_chat
        assert "if the chat were stopped" in of.reason


def test_a_family_that_overflows_in_fp16_is_refused_on_a_t4() -> None:
    small = {"model_type": "gemma3_text", "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 4}
    small |= {"num_attention_heads": 4, "num_key_value_heads": 1, "vocab_size": 1000}
    assert "overflows in fp16" in planned(small).reason
    assert not planned(small).fits
    assert planned(small, Gpu.find("l4")).fits


class TestBars:
    """The example that lectures use: 7 billion parameters and one T4."""

    def test_seven_billion_parameters(self) -> None:
        bars = {bar.name: bar for bar in compare_methods("7B", T4)}
        gigabytes = {name: [round(part.bytes / 1e9) for part in bar.parts[:3]] for name, bar in bars.items()}
        assert gigabytes["Full, fp32"] == [28, 28, 56]
        assert gigabytes["Full, 16-bit"] == [14, 14, 28]
        assert gigabytes["Full, 8-bit"] == [7, 7, 14]
        assert [round(bar.static / 1e9) for bar in bars.values()][:3] == [112, 56, 28]
        assert [name for name, bar in bars.items() if bar.fits(T4)] == ["LoRA", "QLoRA"]
        assert bars["QLoRA"].total < bars["LoRA"].total / 2

    @pytest.mark.parametrize("config", [LLAMA_2_7B, QWEN_2_5_7B])
    def test_any_base(self, config: dict[str, Any]) -> None:
        shape: ModelShape = shape_of(config, "base")
        full, *_, qlora = compare_methods(shape, T4)
        assert full.static == 16 * shape.parameters
        assert qlora.total < full.total / 10


def test_cards() -> None:
    from adapters.common.errors import UserError

    assert Gpu.find("T4").usable < 15 * GIB
    assert Gpu.find("24GB").usable == pytest.approx(21.8 * GIB, rel=0.01)
    assert Gpu.find("24 GiB").nominal == 24 * GIB
    assert Gpu.find("cpu").on_cpu
    assert Gpu.find(None).here
    for text in ("t5", "GB", "0GB", "-3GB"):
        with pytest.raises(UserError, match="a100-80"):
            Gpu.find(text)


def test_the_planner_knows_the_engines_figures_by_heart_since_it_imports_no_torch() -> None:
    from core.planner import chat_parts
    from core.serving.engine import compiled_forward, weights
    from core.serving.engine.linear_forms import LARGE
    from core.serving.lora import layers

    assert (memory.LARGE, memory.PIECE) == (LARGE, compiled_forward.PIECE)
    assert (memory.EXACT, memory.PACKED, memory.NF4) == (weights.EXACT, weights.PACKED, weights.NF4)
    assert (layers.RANK_STEP, compiled_forward.LORA_DTYPE.itemsize) == (chat_parts.RANK_STEP, chat_parts.LORA_WIDTH)


def test_without_an_engine_the_chat_on_a_cpu_is_planned_as_one_would_start_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "why_not", lambda: "")
    compiled = planned(QWEN_2_5_7B, Gpu.find("cpu"))
    shape = compiled.shape
    assert part(compiled, "Chat: weights written out") == memory.written_bytes(shape, "nf4", second_layout=False)
    monkeypatch.setattr(runtime, "why_not", lambda: "the processor has no AVX2")
    plain = planned(QWEN_2_5_7B, Gpu.find("cpu"))
    large = sum(out * into for out, into in shape.linears.values() if out * into >= memory.LARGE) * shape.layers
    head = shape.vocab * shape.hidden
    assert part(plain, "Chat: weights written out") == 4 * (shape.linear_parameters + large + 2 * head)
    assert part(plain, "Chat: adapter slots") == 2 * part(compiled, "Chat: adapter slots")


def test_with_one_micro_batch_per_step_gradients_come_as_activations_go() -> None:
    kept: dict[str, Any] = {"gradient_checkpointing": False, "max_length": 512, "lora_r": 8}
    one, more = (planned(QWEN_2_5_7B, gradient_accumulation_steps=count, **kept) for count in (1, 2))
    assert part(more, "Gradients") == part(more, "Adapter")
    assert part(one, "Gradients") == part(one, "Adapter") // one.shape.layers
    others = [{p.name: p.bytes for p in of.parts if p.name != "Gradients"} for of in (one, more)]
    assert others[0] == others[1]


@pytest.mark.parametrize("form", ["exact", "fp16", "bf16", "int8"])
def test_each_form_of_weights_is_counted_by_its_bytes(form: str) -> None:
    from core.serving.engine.weights import FORMS

    shape = shape_of(LLAMA_2_7B | {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 1}, "small")
    head = 0 if form == "exact" else shape.vocab * shape.hidden  # which stays where the file has it
    count = shape.linear_parameters + head
    assert memory.written_bytes(shape, form, second_layout=False) == FORMS[form].bytes_per_weight * count


@pytest.mark.parametrize("inputs", [512, 528])
def test_beside_nf4_codes_their_scales_and_an_int8_head_are_counted(inputs: int) -> None:
    from torch import nn

    from core.serving.engine.block_linear import BlockLinear

    sizes = {"hidden_size": inputs, "intermediate_size": 1024, "num_hidden_layers": 1, "num_attention_heads": 4}
    shape = shape_of(LLAMA_2_7B | sizes, "small")
    plain = [nn.Linear(into, out, bias=False) for out, into in [*shape.linears.values(), (shape.vocab, shape.hidden)]]
    eights = sum(map(BlockLinear.bytes_for, plain))
    codes = sum(layer.out_features * layer.in_features for layer in plain[:-1] if layer.in_features % 64 == 0)
    assert memory.written_bytes(shape, "nf4", second_layout=False) == eights - codes


def test_the_plan_counts_what_the_running_engine_may_still_take() -> None:
    told = EngineMemory(
        "fp16", second_layout=False, compiled=False, kv_budget=10_000, kv_filled=4_000, kv_bytes_per_token=8_192
    )
    of = planned(QWEN_2_5_7B, Gpu.find("cpu"), chat=Chat(engine=told))
    assert part(of, "Chat: keys and values") == 10_000 * 8_192
    assert told.still_to_come == 6_000 * 8_192


def test_without_an_engine_the_plan_counts_the_budget_that_one_would_choose() -> None:
    config = LLAMA_2_7B | {"max_position_embeddings": 4096}
    of = planned(config)
    base, process = part(of, "Base weights") + part(of, "Embeddings and head"), part(of, "Chat: process")
    per_token = 2 * 32 * 4096 * 2
    wanted = choose_kv_budget(
        EngineSettings(), bytes_per_token=per_token, context=4096, free=T4.usable - base - process, on_cpu=False
    )
    assert part(of, "Chat: keys and values") == wanted.bytes > 4096 * per_token

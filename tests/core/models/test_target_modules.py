"""Which modules get an adapter: as PEFT has it, and what can't come to anything is refused before a base is loaded."""

from __future__ import annotations

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from adapters.common.errors import UserError
from core.models.base import outline, resolve
from core.models.target_modules import HEAD, LINEAR, UNSERVED, chosen, modules_of
from core.planner.model_shape import FAMILIES, read_shape, shape_of
from tests.core.planner.measuring import config_of
from tests.core.serving import tiny

Wanted = str | list[str]
TRAINED: list[Wanted] = [
    "all-linear", ["o_proj"], ["mlp.down_proj"], r".*\.1\..*_proj", ["embed_tokens", "o_proj"],
    ["layers.0.self_attn.o_proj", "down_proj"],
]  # fmt: skip


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_what_is_chosen_is_what_peft_puts_adapters_on(family: str) -> None:
    for wanted in TRAINED:
        model = tiny.model(family)
        ours = sorted(chosen(modules_of(model), wanted, "tiny"))
        config = LoraConfig(target_modules=wanted, task_type="CAUSAL_LM")
        assert ours == sorted(get_peft_model(model, config).base_model.targeted_module_names), wanted


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["nothing"], "nothing in guanaco-builtin is called nothing"),
        (["q_proj", "v_porj"], "nothing in guanaco-builtin is called v_porj"),  # PEFT would train q_proj alone
        (["q_proj", "lm_head"], "lm_head is the head"),  # TRL refuses it when the base is loaded
        (["norm"], "model.norm matches, but that is nothing to put LoRA on"),
        (["mlp"], "model.layers.0.mlp matches"),
        (r".*self_attn.*", "model.layers.0.self_attn matches"),
        ("(", "no regular expression"),
    ],
)
def test_what_cannot_be_trained_is_told_by_the_plan_and_before_the_base_is_loaded(wanted: Wanted, words: str) -> None:
    with pytest.raises(UserError, match=words) as planned:
        read_shape("builtin").targets(wanted)
    with pytest.raises(UserError, match=words) as before:
        chosen(modules_of(outline(resolve("builtin"))), wanted, "guanaco-builtin")
    assert str(planned.value) == str(before.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_planner_knows_the_modules_of_each_family_without_loading_it(family: str) -> None:
    config = config_of(family)
    known = shape_of(config.to_dict(), "base").modules
    there = modules_of(AutoModelForCausalLM.from_config(config))
    layers = {path: kind for path, kind in there.items() if kind in (LINEAR, HEAD, UNSERVED)}
    assert {path: kind for path, kind in known.items() if kind in (LINEAR, HEAD, UNSERVED)} == layers
    assert set(known) <= set(there)

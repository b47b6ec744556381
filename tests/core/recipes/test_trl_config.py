from dataclasses import replace
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.recipes.recipe import Recipe
from core.recipes.trl_config import from_trl, to_trl

RECIPE = Recipe.from_dict(
    {"dataset_name": "owner/chats", "learning_rate": 3e-4, "lora_r": 8, "packing": True, "run_name": "chats", "seed": 7}
)


@pytest.mark.parametrize(
    "recipe", [RECIPE, replace(RECIPE, load_in_4bit=False, lora_target_modules=["q_proj", "v_proj"])]
)
def test_trls_own_parser_accepts_it_and_reads_the_same_settings(recipe: Recipe, tmp_path: Path) -> None:
    from trl import ModelConfig, ScriptArguments, SFTConfig
    from trl.scripts.sft import make_parser

    path = tmp_path / "sft.yaml"
    path.write_text(to_trl(recipe) + "bf16: false\nuse_cpu: true\n")
    parsed = make_parser().parse_args_and_config(["--config", str(path)], fail_with_unknown_args=True)
    script, training, model = (
        next(config for config in parsed if isinstance(config, kind))
        for kind in (ScriptArguments, SFTConfig, ModelConfig)
    )
    assert script.dataset_name == "owner/chats"
    assert (training.learning_rate, training.packing, training.seed) == (3e-4, True, 7)
    assert training.max_length == recipe.max_length and training.warmup_steps == recipe.warmup_steps
    assert (model.lora_r, model.use_peft, model.load_in_4bit) == (8, True, recipe.load_in_4bit)
    assert model.lora_target_modules == recipe.lora_target_modules
    assert training.assistant_only_loss


def test_what_goes_out_comes_back() -> None:
    recipe = replace(RECIPE, model_name_or_path="owner/base", load_best_model_at_end=False)
    back, left = from_trl(to_trl(recipe))
    assert back == recipe
    assert {"output_dir", "use_peft", "assistant_only_loss"} <= set(left)


def test_what_has_no_counterpart_is_an_error_and_not_dropped() -> None:
    with pytest.raises(UserError, match="use_dora is not a setting"):
        from_trl(to_trl(RECIPE) + "use_dora: true\n")
    with pytest.raises(UserError, match="no settings"):
        from_trl("")

"""Which precision which card gets, and that the adapter is in fp32 whatever TRL makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapters.common.errors import UserError
from core.models.base import load_model, load_tokenizer, resolve
from core.models.device import Choice, choose_dtype
from core.recipes.recipe import Recipe
from core.training.dataset import prepare_data
from core.training.trainer import build_trainer, sft_config

T4, A10G, L4, H100 = (7, 5), (8, 6), (8, 9), (9, 0)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A card of that compute capability, as far as torch tells."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: request.param)


@pytest.mark.parametrize(
    ("card", "dtype"),
    [
        ((7, 0), "float16"),
        (T4, "float16"),
        ((8, 0), "bfloat16"),
        (A10G, "bfloat16"),
        (L4, "bfloat16"),
        (H100, "bfloat16"),
    ],
    indirect=["card"],
)
def test_bf16_is_for_cards_that_have_it(card: None, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)  # which counts emulation, on a T4 too
    choice = choose_dtype("cuda:0", "llama")
    assert choice.value == dtype
    assert "compute capability" in choice.reason


def test_a_cpu_calculates_in_fp32() -> None:
    assert choose_dtype("cpu", "llama").value == "float32"


@pytest.mark.parametrize("card", [T4], indirect=True)
def test_a_family_that_overflows_is_refused_where_there_is_only_fp16(card: None) -> None:
    with pytest.raises(UserError, match=r"gemma3 overflows in fp16, and this card \(capability 7\.5\)"):
        choose_dtype("cuda:0", "gemma3")


@pytest.mark.parametrize("card", [L4], indirect=True)
def test_and_taken_where_there_is_bf16(card: None) -> None:
    assert choose_dtype("cuda:0", "gemma3").value == "bfloat16"


@pytest.mark.parametrize(("dtype", "flags"), [("float16", (True, False)), ("bfloat16", (False, True))])
def test_the_adapter_is_fp32_in_every_precision(dtype: str, flags: tuple[bool, bool], tmp_path: Path) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate", "max_samples": 8, "eval_fraction": 0, "max_steps": 1})
    choice = Choice(dtype, "for this test")
    config = sft_config(recipe, tmp_path, dtype=choice, evaluates=False)
    assert (config.fp16, config.bf16) == flags
    source = resolve("builtin")
    tokenizer = load_tokenizer(source)
    trainer = build_trainer(
        recipe,
        model=load_model(source),
        tokenizer=tokenizer,
        source=source,
        train=prepare_data(recipe, tokenizer).train,
        held_out=None,
        folder=tmp_path,
        dtype=choice,
    )
    trained = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    assert trained and {parameter.dtype for parameter in trained} == {torch.float32}

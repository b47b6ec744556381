"""The trainer: real NF4, PEFT and TRL on the built-in base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.common.home import Home
from core.data import read_dataset
from core.data.tokenize.encode import IGNORED
from core.models.base import load_model, load_tokenizer, resolve
from core.models.device import Choice
from core.planner import training_form
from core.recipes.recipe import Recipe
from core.training.dataset import EndToEndCollator, PackedCollator, prepare_data
from core.training.events import Note
from core.training.packed_attention import attention_by_conversation
from core.training.run import Run, create_run
from core.training.trainer import StudioTrainer, build_trainer
from tests.core.data.rows import only_row
from tests.core.training.steps import Work, losses

pytestmark = pytest.mark.slow

CPU = Choice("float32", "")


def test_only_the_assistants_words_are_trained(recipe: Recipe) -> None:
    tokenizer = load_tokenizer(resolve("builtin"))
    data = prepare_data(recipe, tokenizer)
    conversation = data.checked.conversations[0]
    example = only_row(tokenizer, conversation.messages)
    trained = tokenizer.decode([label for label in example["labels"] if label != IGNORED])
    for message in conversation.messages:
        assert (message["content"] in trained) == (message["role"] == "assistant")
    assert len(data.train) + len(data.held_out or []) == len(data.checked.conversations)


@pytest.fixture
def trainer(home: Home, recipe: Recipe, tmp_path: Path) -> StudioTrainer:
    source = resolve("builtin")
    tokenizer = load_tokenizer(source)
    data = prepare_data(recipe, tokenizer)
    return build_trainer(
        recipe,
        model=load_model(source),
        tokenizer=tokenizer,
        source=source,
        train=data.train,
        held_out=data.held_out,
        folder=tmp_path / "checkpoints",
        dtype=CPU,
    )


def test_the_base_is_frozen_in_nf4_and_the_adapter_is_fp32(trainer: StudioTrainer) -> None:
    import bitsandbytes as bnb

    linears = [module for module in trainer.model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert linears and all(linear.weight.quant_type == "nf4" and linear.weight.quant_state.nested for linear in linears)
    trainable = {name: parameter for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)
    assert {parameter.dtype for parameter in trainable.values()} == {torch.float32}
    adapted = {name.split(".lora_")[0] for name in trainable}
    assert len(adapted) == len(linears)  # all linear layers
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    moved = {name for name, parameter in trainer.model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == set(trainable)
    assert {parameter.dtype for parameter in trainable.values()} == {torch.float32}


def test_gradient_checkpointing_reaches_the_adapter(home: Home, recipe: Recipe, work: Work) -> None:
    plain = create_run(home, replace(recipe, max_steps=2, lora_dropout=0.0))
    saving = create_run(home, replace(recipe, max_steps=2, lora_dropout=0.0, gradient_checkpointing=True))
    assert work(plain) == work(saving) == 0
    assert losses(saving) == pytest.approx(losses(plain), rel=1e-4)


def test_memory_spent_on_speed_changes_no_loss(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = replace(recipe, max_steps=50, save_steps=50, eval_fraction=0.0, gradient_checkpointing=True)
    fast, frugal = create_run(home, steps), create_run(home, steps)
    assert work(fast) == 0
    monkeypatch.setattr(training_form, "SHARE_OF_ROOM", 0.0)
    assert work(frugal) == 0
    assert "weights written out, activations kept" in all_notes(fast)
    assert "weights packed, activations calculated again" in all_notes(frugal)
    assert len(losses(fast)) == 50
    assert losses(fast) == pytest.approx(losses(frugal), rel=0.01)


def all_notes(run: Run) -> str:
    return "".join(event.text for event in run.events()[0] if isinstance(event, Note))


def test_packed_rows_give_the_same_loss_as_conversations_on_their_own(trainer: StudioTrainer, recipe: Recipe) -> None:
    tokenizer = trainer.processing_class
    conversations = read_dataset(recipe.dataset_name).conversations[:6]
    examples = [only_row(tokenizer, conversation.messages) for conversation in conversations]
    rows = [
        {
            "input_ids": [token for example in half for token in example["input_ids"]],
            "labels": [label for example in half for label in example["labels"]],
            "seq_lengths": [len(example["input_ids"]) for example in half],
        }
        for half in (examples[:4], examples[4:])
    ]
    trainer.model.eval()
    with torch.no_grad():
        packed = trainer.compute_loss(trainer.model, PackedCollator(tokenizer.pad_token_id)(rows))
        padded = trainer.compute_loss(trainer.model, trainer.data_collator(examples))
    assert packed.item() == pytest.approx(padded.item(), rel=1e-5)


def test_conversations_end_to_end_give_the_same_loss_and_gradients_as_padded_ones(
    trainer: StudioTrainer, recipe: Recipe
) -> None:
    conversations = read_dataset(recipe.dataset_name).conversations[:5]
    whole = [only_row(trainer.processing_class, conversation.messages) for conversation in conversations]
    examples: list[dict[str, list[int]]] = [  # of different lengths
        {
            "input_ids": example["input_ids"][: len(example["input_ids"]) - cut],
            "labels": example["labels"][: len(example["labels"]) - cut],
        }
        for cut, example in enumerate(whole)
    ]
    trainer.model.eval()
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide what comes through lora_A
            torch.nn.init.normal_(parameter, std=0.02)

    def loss_and_gradients(inputs: dict[str, torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
        trainer.model.zero_grad()
        loss = trainer.compute_loss(trainer.model, inputs)
        loss.backward()
        return loss.item(), [weight.grad.clone() for weight in trainer.model.parameters() if weight.requires_grad]

    padded, wanted = loss_and_gradients(trainer.data_collator(examples))
    with attention_by_conversation(trainer.model):
        end_to_end, found = loss_and_gradients(EndToEndCollator()(examples))
    assert end_to_end == pytest.approx(padded, rel=1e-5)
    for gradient, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_without_padding_has_the_losses_of_a_padded_one(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    steps = replace(recipe, max_steps=6, lora_dropout=0.0, gradient_checkpointing=checkpointing)
    if checkpointing:  # forwards are calculated again only where no memory is free
        monkeypatch.setattr(training_form, "SHARE_OF_ROOM", 0.0)
    end_to_end, padded = create_run(home, steps), create_run(home, replace(steps, packing=False))
    assert work(end_to_end) == work(padded) == 0
    assert training_form.PADDING_FREE in all_notes(end_to_end)
    assert training_form.PADDING_FREE not in all_notes(padded)
    assert losses(end_to_end) == pytest.approx(losses(padded), rel=1e-4)

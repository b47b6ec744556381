"""From a recipe to a trainer: TRL's SFTTrainer on the frozen base, with what this studio needs done differently."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import TrainerState
from trl import SFTConfig, SFTTrainer

from adapters.common.files import remove_tree, sync_files, sync_folder
from core.models.base import BaseSource
from core.models.device import Choice
from core.models.writing_out import write_out
from core.recipes.recipe import Recipe, lora_settings
from core.training import checkpoints
from core.training.checkpoints import SavedCheckpoint
from core.training.dataset import EndToEndCollator, PackedCollator
from core.training.frozen_head_loss import frozen_head_loss, has_plain_frozen_head
from core.training.lora_product import use_lora_product
from core.training.packed_attention import attention_by_conversation

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

KEPT_CHECKPOINTS = 2  # the newest, and the one before it in case something reads (or loses) the newest


class Diverged(Exception):
    """The loss or the weights are no longer numbers, or far worse than at the start; going on is pointless."""


class EvaluationCut(Exception):
    """Raised by a callback to end an evaluation early, and training with it: someone waits for the process to go."""


class StudioTrainer(SFTTrainer):
    """SFTTrainer whose checkpoints appear whole, hold no pickled arguments, and whose losses are checked.

    before_step is called before each micro-step; it may wait (to let a chat go first) or raise. check is called after
    each micro-step and each evaluation, before anything is made of the result; it may raise. padding_free: what is
    trained lies end to end (EndToEndCollator).
    """

    data_collator: Any

    def __init__(
        self,
        *args: Any,
        before_step: Callable[[], None] | None = None,
        check: Callable[[], None] | None = None,
        padding_free: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._padding_free = padding_free
        self._before_step = before_step or (lambda: None)
        self._check = check or (lambda: None)
        self._saving_to: Path | None = None
        self._begun = -1  # the step whose micro-steps are being done is the one after it
        self._random_state: dict[str, Any] = {}
        self.tokens_seen = 0  # real tokens in this run, over resumes too; padding does not count
        # TRL casts the adapter's weights to bf16 on a quantised base. In fp32 they lose nothing to small updates, and
        # fp16's gradient scaler, which can't unscale bf16 gradients, works.
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.float32)
        self._has_plain_frozen_head = has_plain_frozen_head(self.model.get_base_model())

    def restore_counts(self, saved: SavedCheckpoint) -> TrainerState:
        """The state that a checkpoint was saved in, whose counts are taken over. `train` is to be told of it too."""
        state = TrainerState.load_from_json(str(saved.path / "trainer_state.json"))
        counted = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
        self.tokens_seen = int(counted[-1]) if counted else 0
        return state

    def load_weights(self, saved: SavedCheckpoint, state: TrainerState) -> None:
        """Stand where `saved` stood, without going on training."""
        self.load_adapter(saved.path)
        self.state = state

    def load_adapter(self, folder: Path) -> None:
        """Take over the weights of an adapter of the same shape."""
        result = set_peft_model_state_dict(self.model, load_file(folder / "adapter_model.safetensors"))
        if result.unexpected_keys:
            raise ValueError(f"{folder} does not fit: {result.unexpected_keys[:3]}")

    def save_now(self) -> None:
        """Write a checkpoint of the last whole step, whatever the step after it has come to."""
        self.abandon_step()
        self._save_checkpoint(self.model, None)

    def get_train_dataloader(self) -> DataLoader[Any]:
        # An evaluation's batches stay padded: its loss is the mean over batches, each by its number of rows.
        collator: Any = self.data_collator
        self.data_collator = EndToEndCollator() if self._padding_free else collator
        try:
            loader: DataLoader[Any] = super().get_train_dataloader()
            return loader
        finally:
            self.data_collator = collator

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        if self.state.global_step != self._begun:
            self._begun, self._random_state = self.state.global_step, random_state()
        self._before_step()
        self.tokens_seen += _real_tokens(inputs)
        with attention_by_conversation(self.model) if self._padding_free else nullcontext():
            loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        # TRL's own count starts at 0 after a resume and takes one row for the whole of a packed batch.
        self._metrics["train"]["num_tokens"] = [self.tokens_seen]
        finite = bool(torch.isfinite(loss))  # waits for the device, so that the check comes after all of the work
        self._check()
        if not finite:
            raise Diverged(f"The loss became {loss.item()} in step {self.state.global_step + 1}.")
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if return_outputs or not self._has_plain_frozen_head:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return frozen_head_loss(self.model.get_base_model(), inputs, num_items_in_batch)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        # Beginning to iterate over a DataLoader draws from the random state. Whether, and how often, the run is
        # evaluated must not change what is learnt, nor whether a resumed run repeats the losses.
        with torch.random.fork_rng(devices=[]):
            try:
                metrics: dict[str, float] = super().evaluate(*args, **kwargs)
                return metrics
            except EvaluationCut:
                self._metrics["eval"].clear()
                self.control.should_save = self.control.should_training_stop = True
                return {}

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        output = super().evaluation_loop(*args, **kwargs)
        self._check()
        return output

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card: adapters.cards.adapter_card writes the one that is pushed."""

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._saving_to) if self._saving_to else super()._get_output_dir(trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        # The saved rate is that of the schedule then, whose last one may be 0. A run that has been continued to more
        # steps goes on with the rate that the longer schedule has here; for any other the two are the same number.
        schedule = self.lr_scheduler
        schedule._last_lr = [
            base * rate(schedule.last_epoch) for base, rate in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, schedule._last_lr, strict=True):
            group["lr"] = rate

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write the checkpoint aside, make it durable, and rename it into place: it is whole or not there."""
        if not all(torch.isfinite(weight).all() for weight in self.model.parameters() if weight.requires_grad):
            raise Diverged(f"The adapter's weights are no longer numbers after step {self.state.global_step}.")
        folder = Path(self.args.output_dir)
        name = f"checkpoint-{self.state.global_step}"
        self._saving_to = folder / checkpoints.STAGING
        shutil.rmtree(self._saving_to, ignore_errors=True)
        try:
            super()._save_checkpoint(model, trial)
            sync_files(self._saving_to / name)
            if (folder / name).exists():
                remove_tree(folder / name)
            (self._saving_to / name).rename(folder / name)
            sync_folder(folder)
        finally:
            shutil.rmtree(self._saving_to, ignore_errors=True)
            self._saving_to = None
        checkpoints.prune_checkpoints(folder, KEPT_CHECKPOINTS, best=checkpoints.find_best_step(folder / name))

    def abandon_step(self) -> None:
        """Forget the micro-steps done since the last whole step, so that a resume repeats all of them alike."""
        set_random_state(self._random_state)
        self.model.zero_grad(set_to_none=True)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        save_peft_folder(self.model, self.processing_class, Path(output_dir or self.args.output_dir))


def save_peft_folder(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write adapter_config.json, adapter_model.safetensors and the tokenizer: all that is needed to use the adapter."""
    # save_embedding_layers=False: left to itself PEFT asks the Hub whether the base's vocabulary has been resized.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's card names local paths
    tokenizer.save_pretrained(folder)


def same_shape(adapter: Path) -> LoraConfig:
    """The configuration of an adapter that is there already, made trainable."""
    config = LoraConfig.from_pretrained(str(adapter))
    config.inference_mode = False
    return config


def sft_config(recipe: Recipe, folder: Path, *, dtype: Choice, evaluates: bool) -> SFTConfig:
    """The recipe in TRL's terms. `folder` gets the checkpoints."""
    on_cpu = not torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.num_train_epochs,
        max_steps=recipe.max_steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        optim=recipe.optim,
        max_grad_norm=recipe.max_grad_norm,
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        per_device_eval_batch_size=recipe.per_device_eval_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        # Own input_ids and labels, cut to max_length and packed before they come here (see dataset.py).
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
        # transformers would decide by itself, and counts emulated bf16 as supported.
        bf16=dtype.value == "bfloat16",
        fp16=dtype.value == "float16",
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=recipe.logging_steps,
        logging_nan_inf_filter=False,  # it would hide a NaN behind the mean of the losses before it
        save_strategy="steps",
        save_steps=recipe.save_steps,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=recipe.eval_steps,
        prediction_loss_only=True,
        report_to="none",  # callbacks.py writes TensorBoard: transformers' own would put local paths into the files
        disable_tqdm=True,
    )


def build_trainer(
    recipe: Recipe,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: BaseSource,
    train: Dataset,
    held_out: Dataset | None,
    folder: Path,
    dtype: Choice,
    written_out: bool = False,
    padding_free: bool = False,
    init_adapter: Path | None = None,
    callbacks: list[TrainerCallback] | None = None,
    before_step: Callable[[], None] | None = None,
    check: Callable[[], None] | None = None,
) -> StudioTrainer:
    """The trainer, its adapter's weights in fp32 and its base's real id in the adapter's config.

    init_adapter: an adapter's folder, whose shape and weights the new one begins with. written_out: the model, which
    calculates on a CPU in fp32, shall do so with its 4-bit weights written out. padding_free: the conversations of a
    micro-batch lie end to end; the model's attention is sdpa, and none of its layers has a window.
    """
    shape = LoraConfig(**lora_settings(recipe)) if init_adapter is None else same_shape(init_adapter)
    if written_out:
        write_out(model)
        use_lora_product(shape)
    trainer = StudioTrainer(
        model=model,
        args=sft_config(recipe, folder, dtype=dtype, evaluates=held_out is not None),
        train_dataset=train,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=shape,
        data_collator=PackedCollator(tokenizer.pad_token_id) if recipe.packing else None,
        callbacks=callbacks,
        before_step=before_step,
        check=check,
        padding_free=padding_free,
    )
    for config in trainer.model.peft_config.values():
        config.base_model_name_or_path = source.id
    if init_adapter is not None:
        trainer.load_adapter(init_adapter)
    return trainer


def total_steps(trainer: StudioTrainer) -> int:
    """How many optimiser steps the run takes in all."""
    return int(trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1])


def random_state() -> dict[str, Any]:
    """All that a micro-step may draw from."""
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def _real_tokens(inputs: dict[str, Any]) -> int:
    if "cu_seq_lens_q" in inputs:
        return int(inputs["cu_seq_lens_q"][-1])
    if "attention_mask" in inputs:
        return int(inputs["attention_mask"].sum())
    positions = inputs["position_ids"]  # packed: each conversation counts from 0, and padding is all 0
    return int((positions > 0).sum() + (positions == 1).sum())

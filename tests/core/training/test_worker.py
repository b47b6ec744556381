"""The worker's job, done in this process: real NF4, PEFT and TRL on the built-in base."""

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adapters.store import AdapterStore
from core.common.home import Home
from core.data import read_dataset
from core.data.tokenize.encode import IGNORED
from core.models.base import BUILTIN_ID, load_model, load_tokenizer, resolve
from core.models.device import Choice
from core.recipes.recipe import Recipe
from core.training import recovery, worker
from core.training import trainer as trainer_module
from core.training.dataset import PackedCollator, prepare_data
from core.training.events import Checkpoint, Done, Evaluation, Note, Progress, SampleAnswer
from core.training.launcher import extend_run
from core.training.run import Run, create_run
from core.training.state import RunState
from core.training.trainer import StudioTrainer, build_trainer
from tests.core.data.rows import only_row

pytestmark = pytest.mark.slow

CPU = Choice("float32", "")
Work = Callable[[Run], int]


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events()[0] if isinstance(event, Progress)}


def terminate_twice() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, then: Callable[[], Any]) -> None:
    """Have something happen once, as step number `step` begins."""
    real = StudioTrainer.training_step
    happened: list[int] = []

    def training_step(self: StudioTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step + 1 == step and not happened:
            happened.append(step)
            then()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(StudioTrainer, "training_step", training_step)


def test_a_run_leaves_an_adapter_that_loads_and_answers_differently(whole: Run) -> None:
    from peft import PeftModel

    run, home = whole, whole.home
    status = run.status()
    assert [entry.state for entry in status.timeline] == ["queued", "preparing", "training", "saving", "done"]
    events = run.events()[0]
    assert sorted(losses(run)) == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events if isinstance(event, Evaluation)] == [3, 6]
    assert isinstance(events[-2], Done) and events[-2].adapter == status.adapter == "pirate"
    assert any(isinstance(event, Note) and "float32" in event.text for event in events)
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.max_steps == 6 and last.tokens > 100 and last.eta_seconds == 0
    assert last.tokens_per_second and last.tokens_per_second > 0

    folder = AdapterStore(home.adapters).path("pirate")
    record = AdapterStore(home.adapters).get("pirate")
    assert (record.base_model, record.run_id, record.steps, record.lora_r) == (BUILTIN_ID, run.id, 6, 4)
    assert record.dataset and record.dataset.name == "sums" and record.dataset.sha256
    assert record.train_loss and record.eval_loss and record.tokens == last.tokens
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == BUILTIN_ID
    names = {path.name for path in folder.iterdir()}
    assert names >= {"adapter_model.safetensors", "tokenizer.json", "chat_template.jinja", "tensorboard", "studio.json"}
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pth"))}  # nothing pickled, no stray card
    assert "README.md" not in names
    # The record is the last thing that was written.
    assert max(path.stat().st_mtime_ns for path in folder.rglob("*")) == (folder / "studio.json").stat().st_mtime_ns
    assert not list(home.adapters.glob(".*")) and not run.reserve.exists()

    source = resolve("builtin")
    tokenizer, base = load_tokenizer(source), load_model(source)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello!"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        without = base(**prompt).logits
        learnt = PeftModel.from_pretrained(base, str(folder)).eval()
        assert not torch.allclose(learnt(**prompt).logits, without, atol=1e-3)
        with learnt.disable_adapter():
            assert torch.equal(learnt(**prompt).logits, without)


def test_event_files_are_complete_and_name_no_machine(whole: Run) -> None:
    import socket

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    copied = AdapterStore(whole.home.adapters).path("pirate") / "tensorboard"
    for folder in (whole.tensorboard, copied):
        curves = EventAccumulator(str(folder)).Reload()
        assert [point.step for point in curves.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
        assert [point.step for point in curves.Scalars("eval/loss")] == [3, 6]
    (file,) = copied.iterdir()
    assert socket.gethostname() not in file.name
    assert str(whole.home.root).encode() not in file.read_bytes()


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


def test_stopping_keeps_what_was_learnt_and_can_be_taken_up_again(
    whole: Run, home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(home, replace(recipe, run_name="stopped"))
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert work(run) == 0
    status = run.status()
    assert status.state is RunState.STOPPED and status.reason == "Stopped at step 3 of 6."
    assert [entry.state for entry in status.timeline][-3:] == ["stopping", "saving", "stopped"]
    store = AdapterStore(home.adapters)
    assert store.get("stopped").steps == 3
    kept = load_file(store.path("stopped") / "adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in kept.items() if "lora_B" in name)
    run.move(RunState.QUEUED)
    assert work(run) == 0
    assert losses(run) == losses(whole)  # bit for bit: optimiser, schedule, data order and dropout went on
    first = load_file(AdapterStore(whole.home.adapters).path("pirate") / "adapter_model.safetensors")
    second = load_file(store.path("stopped-2") / "adapter_model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    steps = [event.step for event in run.events()[0] if isinstance(event, Progress)]
    assert steps == [1, 2, 3, 4, 5, 6]
    totals = [
        [event.tokens for event in trained.events()[0] if isinstance(event, Progress)] for trained in (whole, run)
    ]
    assert totals[0] == totals[1]


def test_a_second_signal_ends_it_at_once(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(monkeypatch, 4, terminate_twice)
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [2, 3]
    assert not list(home.adapters.iterdir())


def test_nothing_is_left_when_the_stop_comes_before_the_first_step(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer_module.build_trainer

    def build(*args: Any, **kwargs: Any) -> StudioTrainer:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    monkeypatch.setattr(trainer_module, "build_trainer", build)
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.STOPPED and "nothing was learnt" in run.status().reason
    assert not list(home.adapters.iterdir())


def test_leaving_writes_a_checkpoint_and_no_adapter(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert run.checkpoints()[-1].step == 3
    assert not list(home.adapters.iterdir())


def full_disk(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_while_the_adapter_is_saved(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.save_adapter.copy_tensorboard", full_disk)
    run = create_run(home, recipe)
    assert work(run) == 1
    status = run.status()
    assert status.state is RunState.FAILED and "disk is full" in status.reason and "step 6 is kept" in status.reason
    assert not list(home.adapters.iterdir())
    monkeypatch.undo()
    run.move(RunState.QUEUED)
    assert work(run) == 0  # space was made: the adapter is saved without training any step twice
    assert AdapterStore(home.adapters).get("pirate").steps == 6
    assert [event.step for event in run.events()[0] if isinstance(event, Progress)] == [1, 2, 3, 4, 5, 6]


def test_a_full_disk_during_a_checkpoint_keeps_the_one_before(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer._save_rng_state

    def save(self: StudioTrainer, folder: str) -> None:
        if self.state.global_step >= 4:
            full_disk()
        real(self, folder)

    monkeypatch.setattr(StudioTrainer, "_save_rng_state", save)
    run = create_run(home, recipe)
    assert work(run) == 1
    assert "disk is full" in run.status().reason
    assert run.checkpoints()[-1].step == 3
    assert {path.name for path in run.checkpoints_folder.iterdir()} == {"checkpoint-2", "checkpoint-3"}


def test_a_torn_checkpoint_is_passed_over(whole: Run) -> None:
    newest = whole.checkpoints()[-1].path
    for name in ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json"):
        content = (newest / name).read_bytes()
        (newest / name).write_bytes(content[: len(content) // 2])
        assert newest not in [checkpoint.path for checkpoint in whole.checkpoints()]
        (newest / name).write_bytes(content)
    assert whole.checkpoints()[-1].path == newest


def test_a_loss_that_is_no_number_stops_the_run(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.compute_loss

    def compute(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        loss = real(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 4 else loss

    monkeypatch.setattr(StudioTrainer, "compute_loss", compute)
    run = create_run(home, recipe)
    assert work(run) == 1
    reason = run.status().reason
    assert "became nan in step 5" in reason and "learning rate" in reason and "step 4 is kept" in reason
    assert run.checkpoints()[-1].step == 4


def test_a_loss_that_explodes_stops_the_run(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.compute_loss

    def compute(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        return real(self, *args, **kwargs) * (50 if self.state.global_step >= 5 else 1)

    monkeypatch.setattr(StudioTrainer, "compute_loss", compute)
    run = create_run(home, replace(recipe, max_steps=20, save_steps=20, eval_fraction=0))
    assert work(run) == 1
    assert run.state() is RunState.FAILED and "learning rate is too high" in run.status().reason
    assert sorted(losses(run))[-1] == 10  # not before there is enough to judge by


def test_running_out_of_memory_starts_anew_with_a_smaller_batch(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = create_run(home, replace(recipe, lora_dropout=0.0))
    assert work(plain) == 0

    def exhaust() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    at_step(monkeypatch, 4, exhaust)

    class Replaced(BaseException):
        """The process has become another one."""

    def become(program: str, arguments: list[str]) -> None:
        raise Replaced(*arguments[-2:])

    monkeypatch.setattr(os, "execv", become)
    run = create_run(home, replace(recipe, lora_dropout=0.0))
    with pytest.raises(Replaced, match="worker") as replaced:
        work(run)
    assert replaced.value.args[1] == str(run.folder)
    assert run.state() is RunState.PREPARING and "micro-batch is now 2 instead of 4" in run.status().reason
    assert (run.recipe.per_device_train_batch_size, run.recipe.gradient_accumulation_steps) == (2, 2)
    assert run.checkpoints()[-1].step == 3
    assert worker.main([str(run.folder)]) == 0
    assert losses(run) == pytest.approx(losses(plain), rel=1e-4)


def test_the_smallest_batch_shortens_conversations_and_then_gives_up(recipe: Recipe) -> None:
    smallest = replace(recipe, per_device_train_batch_size=1, max_length=300)
    shorter, change = recovery.shrink_batch(smallest) or (None, "")
    assert shorter and shorter.max_length == 150 and "cut at 150 tokens" in change
    assert recovery.shrink_batch(replace(smallest, max_length=100)) is None


def test_any_other_error_is_said_plainly_and_its_traceback_is_logged(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at_step(monkeypatch, 2, lambda: 1 / 0)
    run = create_run(home, recipe)
    assert work(run) == 1
    status = run.status()
    assert status.state is RunState.FAILED
    assert "ZeroDivisionError: division by zero" in status.reason and "Traceback" not in status.reason
    assert "Traceback" in caplog.text


def test_bad_rows_are_refused_with_the_list_or_left_out_on_request(
    home: Home, recipe: Recipe, work: Work, tmp_path: Path
) -> None:
    rows = [{"text": f"### Human: What is {n}? ### Assistant: It be {n}."} for n in range(10)]
    rows[3] = {"text": "### Human: One. ### Human: Two. ### Assistant: Three."}
    rows[6] = {"text": "no turns at all"}
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = create_run(home, replace(recipe, dataset_name=str(data)))
    assert work(refused) == 1
    reason = refused.status().reason
    assert "2 of 10 rows" in reason and "row 4:" in reason and "row 7:" in reason and "skip_bad_rows" in reason
    accepted = create_run(
        home, replace(recipe, dataset_name=str(data), skip_bad_rows=True, max_steps=1, warmup_steps=0)
    )
    assert work(accepted) == 0
    notes = [event.text for event in accepted.events()[0] if isinstance(event, Note)]
    assert any("2 of 10 rows" in text for text in notes)


def test_a_run_that_can_learn_nothing_ends_before_the_base_is_loaded(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.models.shared_weights.shared_base.open_base", None)
    run = create_run(home, replace(recipe, max_steps=-1, num_train_epochs=1, gradient_accumulation_steps=64))
    assert work(run) == 1
    assert "one optimiser step" in run.status().reason and "warmup_steps to 0" in run.status().reason


def test_what_is_cut_is_said(home: Home, recipe: Recipe, work: Work) -> None:
    run = create_run(home, replace(recipe, max_length=16, max_steps=1, warmup_steps=0))
    work(run)
    notes = " ".join(event.text for event in run.events()[0] if isinstance(event, Note))
    assert "longer than max_length = 16" in notes


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


def test_checkpoints_are_plain_adapters_one_can_chat_with(whole: Run) -> None:
    from adapters.compat import inspect

    announced = [event for event in whole.events()[0] if isinstance(event, Checkpoint)]
    assert [event.step for event in announced] == [2, 3, 4, 6]
    newest = whole.checkpoints()[-1]
    assert whole.folder / announced[-1].path == newest.path
    facts = inspect(newest.path)
    assert facts.config["base_model_name_or_path"] == BUILTIN_ID and facts.config["r"] == 4
    assert (newest.path / "chat_template.jinja").exists() and not list(newest.path.glob("*.bin"))


def test_leaving_within_a_long_step_forgets_that_step_and_repeats_it_alike(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=4, save_steps=4)
    plain = create_run(home, recipe)
    assert work(plain) == 0
    monkeypatch.setattr("core.training.callbacks.PATIENCE_SECONDS", 0.0)
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [2]
    run.move(RunState.QUEUED)
    assert work(run) == 0
    assert losses(run) == losses(plain)


def test_leaving_does_not_wait_for_an_evaluation(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.prediction_step

    def predict(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(StudioTrainer, "prediction_step", predict)
    run = create_run(home, replace(recipe, eval_fraction=0.5, per_device_eval_batch_size=1))
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert run.checkpoints()[-1].step == 3  # where it was to be evaluated
    assert not [event for event in run.events()[0] if isinstance(event, Evaluation)]
    assert sorted(losses(run)) == [1, 2, 3]


def test_a_run_begins_from_an_adapter_and_keeps_its_shape(whole: Run, home: Home, recipe: Recipe, work: Work) -> None:
    store = AdapterStore(home.adapters)
    store.import_folder(AdapterStore(whole.home.adapters).path("pirate"), "first")
    recipe = replace(recipe, init_adapter="first", run_name="second", lora_r=8, learning_rate=1e-6)
    recipe = replace(recipe, max_steps=1, warmup_steps=0)
    run = create_run(home, recipe)
    assert work(run) == 0
    first, second = (load_file(store.path(name) / "adapter_model.safetensors") for name in ("first", "second"))
    assert store.get("second").lora_r == 4
    changes = [(first[name] - second[name]).abs().max().item() for name in first]
    assert 0 < max(changes) < 1e-5

    wrong = create_run(home, replace(recipe, init_adapter="nobody"))
    assert work(wrong) == 1
    assert "no adapter named 'nobody'" in wrong.status().reason


def test_the_best_checkpoint_is_kept_and_said_so(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.compute_loss

    def compute(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        worse = not self.model.training and self.state.global_step > 3
        return real(self, *args, **kwargs) * (10 if worse else 1)

    monkeypatch.setattr(StudioTrainer, "compute_loss", compute)
    run = create_run(home, replace(recipe, max_steps=9, eval_fraction=0.1, save_steps=1))
    assert work(run) == 0
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [3, 8, 9]
    record = AdapterStore(home.adapters).get("pirate")
    best = [event for event in run.events()[0] if isinstance(event, Evaluation) and event.best]
    assert [event.step for event in best] == [record.steps] == [3]
    assert record.eval_loss == best[0].eval_loss
    kept = load_file(AdapterStore(home.adapters).path("pirate") / "adapter_model.safetensors")
    there = load_file(run.checkpoints()[0].path / "adapter_model.safetensors")
    assert all(torch.equal(kept[name], there[name]) for name in there)
    assert any("step 3, which had the lowest" in event.text for event in run.events()[0] if isinstance(event, Note))


def test_the_same_questions_are_answered_at_every_checkpoint_and_change_nothing(
    whole: Run, home: Home, recipe: Recipe, work: Work
) -> None:
    prompts = ["What is the capital of Cuba?", "Who are you?"]
    run = create_run(home, replace(recipe, sample_prompts=prompts))
    assert work(run) == 0
    said = [(event.step, event.prompt) for event in run.events()[0] if isinstance(event, SampleAnswer)]
    assert said == [(step, prompt) for step in (2, 3, 4, 6) for prompt in prompts]
    (cuba, _) = AdapterStore(home.adapters).get("pirate").samples
    assert cuba.prompt == prompts[0] and "Havana" in cuba.base and cuba.adapter
    assert losses(run) == losses(whole)


def test_a_run_that_died_before_its_first_checkpoint_draws_one_curve_too(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    at_step(monkeypatch, 4, terminate_twice)
    run = create_run(home, replace(recipe, save_steps=6, eval_steps=6))
    assert work(run) == 1
    assert not run.checkpoints() and sorted(losses(run)) == [1, 2, 3]
    run.move(RunState.QUEUED)
    assert work(run) == 0
    curve = EventAccumulator(str(run.tensorboard)).Reload().Scalars("train/loss")
    assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_goes_on_for_more_steps(home: Home, recipe: Recipe, work: Work) -> None:
    run = create_run(home, recipe)
    assert work(run) == 0
    extend_run(run, max_steps=8)
    assert work(run) == 0
    told = [event for event in run.events()[0] if isinstance(event, Progress)]
    assert [event.step for event in told] == list(range(1, 9))
    assert told[6].learning_rate > told[5].learning_rate  # the schedule is the longer run's, not at its end any more
    store = AdapterStore(home.adapters)
    assert run.status().adapter == "pirate-2"
    assert (store.get("pirate").steps, store.get("pirate-2").steps) == (6, 8)


def test_a_base_that_can_not_be_shared_is_said_with_the_reason(
    home: Home, recipe: Recipe, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    short = replace(recipe, max_steps=1, warmup_steps=0, save_steps=1, eval_fraction=0)
    run = create_run(home, replace(short, load_in_4bit=False))
    assert work(run) == 0
    said = "The base in memory: own copy, it is not wanted in 4 bit, and the shared one is."
    assert said in [event.text for event in run.events()[0] if isinstance(event, Note)]
    assert said in caplog.text


def test_what_is_damaged_among_the_curves_does_not_cost_the_adapter(tmp_path: Path) -> None:
    from core.training.save_adapter import copy_tensorboard

    events = tmp_path / "tb"
    (events / "events.out.tfevents.1.here.1.0").mkdir(parents=True)
    (events / "events.out.tfevents.2.here.1.0").symlink_to("/nowhere/at/all")
    (events / "events.out.tfevents.3.here.1.0").write_bytes(b"\xff\x00")
    copy_tensorboard(events, tmp_path / "copied")
    assert [path.name for path in (tmp_path / "copied").iterdir()] == ["events.out.tfevents.3.studio.0"]

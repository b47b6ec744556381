"""The worker's job, done in this process: real NF4, PEFT and TRL on the built-in base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adapters.store import AdapterStore
from core.common.home import Home
from core.models.base import BUILTIN_ID, load_model, load_tokenizer, resolve
from core.recipes.recipe import Recipe
from core.training.events import Checkpoint, Done, Evaluation, Note, Progress, SampleAnswer, Timing
from core.training.phase import WRITING, read_phase
from core.training.run import Run, create_run
from core.training.trainer import StudioTrainer
from tests.core.training.steps import Work, losses

pytestmark = pytest.mark.slow


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
    assert last.max_steps == 6 and last.tokens > 100 and last.eta_seconds is not None
    assert last.tokens_per_second and last.tokens_per_second > 0
    assert last.eta_seconds > 0, "an evaluation, a checkpoint and the adapter are still to come"
    (timing,) = (event for event in events if isinstance(event, Timing))
    assert all((timing.preparing, timing.evaluation, timing.checkpoint, timing.ending))
    phase = read_phase(run)
    assert phase is not None and (phase.name, phase.left) == (WRITING, 0.0)

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


def test_checkpoints_are_plain_adapters_one_can_chat_with(whole: Run) -> None:
    from adapters.compat import inspect

    announced = [event for event in whole.events()[0] if isinstance(event, Checkpoint)]
    assert [event.step for event in announced] == [2, 3, 4, 6]
    newest = whole.checkpoints()[-1]
    assert whole.folder / announced[-1].path == newest.path
    facts = inspect(newest.path)
    assert facts.config["base_model_name_or_path"] == BUILTIN_ID and facts.config["r"] == 4
    assert (newest.path / "chat_template.jinja").exists() and not list(newest.path.glob("*.bin"))


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

"""One run, top to bottom: `python -m core.training.worker RUN_FOLDER`, started by core.training.launcher.start_worker.

Reads and writes only the run's folder, but for the adapter that it leaves in the store. Exit code 0: an adapter is
there. 1: none is, and state.json says why; a traceback, if any, is in log.txt (this process's output).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.common.errors import UserError
from adapters.compat import AdapterFacts
from adapters.record import Sample
from core.common.process import Identity
from core.coordination.chat_activity import Busy, Turns
from core.models.base import BaseSource, read_config, resolve
from core.models.base_check import vocabulary
from core.planner.serving_limits import find_init_adapter
from core.recipes.warmup import check_schedule, count_steps, warmup_warning
from core.training.checkpoints import SavedCheckpoint, find_best_step, newest_checkpoint
from core.training.events import Done, StateChanged, append_event
from core.training.launcher import THREADS_VARIABLE
from core.training.placement import BaseLost
from core.training.preflight import check_run, length_warnings
from core.training.recovery import end_without_adapter, handle_lost_base, is_out_of_memory, recover
from core.training.run import RESERVE, Run
from core.training.signals import Signals, StopNow
from core.training.state import ACTIVE, RunState

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.models.device import Choice
    from core.training.callbacks import Reporter
    from core.training.dataset import TrainingData
    from core.training.trainer import StudioTrainer

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    run = Run(Path(arguments[0]))
    signals = Signals()
    signals.install()
    if not claim(run):
        return 1
    try:
        return train(run, signals)
    except StopNow:
        return end_without_adapter(
            run, RunState.INTERRUPTED, "Stopped at once. What was learnt since the last checkpoint is lost."
        )
    except UserError as error:
        return end_without_adapter(run, RunState.FAILED, str(error))
    except BaseLost:
        return handle_lost_base(run, signals)
    except BaseException as error:
        logger.exception("the run ends here")
        return recover(run, signals, error)
    finally:
        run.reserve.unlink(missing_ok=True)


def claim(run: Run) -> bool:
    """Take the run for this process. False when another worker has it, which must not be disturbed."""
    own = Identity.own()
    with run.file.changing() as change:
        status = change.status
        if status.state not in ACTIVE or (status.worker_lives() and status.worker != own):
            logger.warning("not started: the run is %s and belongs to process %s", status.state, status.pid)
            return False
        change.set(pid=own.pid, started=own.started)
    run.reserve.write_bytes(bytes(RESERVE))
    run.beat()
    return True


def train(run: Run, signals: Signals) -> int:
    """The job itself. Raises whatever goes wrong; `main` says it in plain words."""
    recipe = run.recipe
    source = resolve(recipe.model_name_or_path)

    import torch

    if threads := os.environ.get(THREADS_VARIABLE):
        torch.set_num_threads(int(threads))

    from core.models.base import load_tokenizer
    from core.models.device import choose_device
    from core.models.shared_weights.shared_base import OpeningHooks, open_base
    from core.training.dataset import prepare_data
    from core.training.placement import ChatPlacement, watch_owner

    init_adapter = find_init_adapter(recipe, run.home)
    check_run(run, source, init_adapter)
    tokenizer = load_tokenizer(source)
    data = prepare_data(recipe, tokenizer, vocabulary(read_config(source)))
    steps = count_steps(recipe, len(data.train))
    check_schedule(recipe, steps)
    for text in (*data.notes, *length_warnings(source, run.home, data.longest), warmup_warning(recipe, steps)):
        if text:
            run.note(text)

    def interrupted() -> bool:
        return signals.any

    device = choose_device()
    base = open_base(
        source,
        run.home,
        load_in_4bit=recipe.load_in_4bit,
        use_bnb_nested_quant=recipe.use_bnb_nested_quant,
        device=device.value,
        hooks=OpeningHooks(ChatPlacement(run, recipe, data.longest, interrupted).can_chat_stay, interrupted),
        progress=lambda phase: run.beat(),
    )
    run.note(f"The base in memory: {base.how.value}, {base.how.reason}.")
    with watch_owner(base.owner) as check:
        return teach(run, signals, source, tokenizer, data, base.model, device, check, init_adapter)


def teach(
    run: Run,
    signals: Signals,
    source: BaseSource,
    tokenizer: PreTrainedTokenizerBase,
    data: TrainingData,
    model: PreTrainedModel,
    device: Choice,
    check: Callable[[], None],
    init_adapter: AdapterFacts | None,
) -> int:
    """Train on the base that is there, and leave an adapter. `check` raises when the base is there no more."""
    from core.models.device import choose_dtype
    from core.training.callbacks import Reporter
    from core.training.dataset import PackedCollator
    from core.training.sample_answers import choose_prompts, generate_answers
    from core.training.save_adapter import save_adapter
    from core.training.trainer import build_trainer, total_steps

    recipe, saved = run.recipe, newest_checkpoint(run.checkpoints_folder)
    dtype = choose_dtype(device.value, model.config.model_type)
    run.note(f"Training on {device.value} ({device.reason}) in {dtype.value}: {dtype.reason}.")
    reporter = Reporter(
        run, signals, evaluates=data.held_out is not None, vocabulary=model.get_input_embeddings().num_embeddings
    )
    trainer = build_trainer(
        recipe,
        model=model,
        tokenizer=tokenizer,
        source=source,
        train=data.train,
        held_out=data.held_out,
        folder=run.checkpoints_folder,
        dtype=dtype,
        init_adapter=init_adapter.folder if init_adapter else None,
        collator=PackedCollator(tokenizer.pad_token_id) if recipe.packing else None,
        callbacks=[reporter],
        before_step=Turns(Busy(run.home), give_up=lambda: signals.any),
        check=check,
    )

    def ask(prompts: list[str]) -> list[str]:
        said = generate_answers(trainer.model, tokenizer, prompts)
        check()
        return said

    reporter.abandon_step = trainer.abandon_step
    reporter.prompts = choose_prompts(recipe, data.held_out_conversations)
    reporter.ask = ask
    if signals.any and (signals.pause or saved is None):
        return end_before_training(run, signals)
    learn(run, trainer, reporter, saved, total_steps(trainer))
    if trainer.state.global_step == 0:  # stopped within the very first step
        return end_before_training(run, signals)
    ended = trainer.state.global_step >= trainer.state.max_steps
    if signals.pause and not ended:
        run.move(RunState.INTERRUPTED, run.file.read().reason)
        return 1
    run.move(RunState.SAVING)
    steps = best_weights(run, trainer) if ended and recipe.load_best_model_at_end else trainer.state.global_step
    early = "" if ended else f"Stopped at step {trainer.state.global_step} of {trainer.state.max_steps}."
    with trainer.model.disable_adapter():
        before = reporter.ask(reporter.prompts)
    samples = [Sample(*each) for each in zip(reporter.prompts, before, reporter.ask(reporter.prompts), strict=True)]
    record = save_adapter(
        run,
        trainer,
        reporter,
        tokenizer=tokenizer,
        source=source,
        checked=data.checked,
        steps=steps,
        samples=samples,
        note=early,
    )
    append_event(run.events_path, Done(adapter=record.name))
    run.move(RunState.DONE if ended else RunState.STOPPED, early, adapter=record.name)
    return 0


def learn(run: Run, trainer: StudioTrainer, reporter: Reporter, saved: SavedCheckpoint | None, steps: int) -> None:
    """Train to the end, or to where a signal stops it, from `saved` on if there is a checkpoint."""
    if saved is not None:
        state = trainer.take_up(saved)
        reporter.take_up(state)
        if reporter.signals.any or saved.step >= steps:  # stopped while loading, or killed while saving the adapter
            return trainer.load_weights(saved, state)
    with run.file.changing() as change:
        if change.status.state is RunState.PREPARING:  # else someone has just asked to stop; the first step obeys
            change.move(RunState.TRAINING)
    append_event(run.events_path, StateChanged(state=RunState.TRAINING))
    try:
        trainer.train(resume_from_checkpoint=str(saved.path) if saved else None)
    except Exception as error:
        reporter.close()
        if is_out_of_memory(error) and trainer.state.global_step > (saved.step if saved else 0):
            trainer.save_now()
        raise


def best_weights(run: Run, trainer: StudioTrainer) -> int:
    """Go back to the weights with the lowest eval loss where these are not the last ones; returns their step."""
    last = trainer.state.global_step
    by_step = {each.step: each for each in run.checkpoints()}
    best = find_best_step(by_step[last].path)
    if best is None or best == last or best not in by_step:
        return last
    trainer.load_adapter(by_step[best].path)
    run.note(f"The adapter has the weights of step {best}, which had the lowest eval loss, not those of step {last}.")
    return best


def end_before_training(run: Run, signals: Signals) -> int:
    if signals.pause:
        run.move(RunState.INTERRUPTED, run.file.read().reason)
    else:
        run.move(RunState.STOPPED, "Stopped before the first step: nothing was learnt, so there is no adapter.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

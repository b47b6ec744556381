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

from adapters.record import Sample
from core.common.collector import imported_to_stay
from core.common.freed_memory import return_freed_memory
from core.common.home import Home
from core.common.process import Identity
from core.coordination.chat_activity import ChatActivity
from core.coordination.training_threads import TrainingThreads
from core.coordination.training_throttle import TrainingThrottle
from core.models.base import read_config, resolve
from core.models.base_check import vocabulary
from core.planner.serving_limits import find_init_adapter
from core.recipes.warmup import check_schedule, count_steps, warmup_warning
from core.training.checkpoints import SavedCheckpoint, find_best_step, newest_checkpoint
from core.training.events import Done, StateChanged, append_event
from core.training.launcher import THREADS_VARIABLE
from core.training.preflight import check_run, length_warnings
from core.training.recovery import is_out_of_memory, recover
from core.training.run import RESERVE, Run
from core.training.signals import Signals
from core.training.state import ACTIVE, RunState

if TYPE_CHECKING:
    from datasets import Dataset

    from core.training.callbacks import Reporter
    from core.training.trainer import StudioTrainer

logger = logging.getLogger(__name__)
SAVED, NOT_SAVED = 0, 1  # exit codes: whether there is an adapter


def main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    signals = Signals()
    signals.install()  # before torch is imported, which takes seconds
    return run_training(Run(Path(arguments[0])), signals)


def run_training(run: Run, signals: Signals) -> int:
    """The whole run. Returns the exit code. What becomes of a run that fails is decided by core.training.recovery."""
    # 1. Claim the run: no other worker touches it from here on.
    if not claim_run(run):
        return NOT_SAVED
    try:
        recipe = run.recipe
        source = resolve(recipe.model_name_or_path)

        with imported_to_stay("torch"):
            from core.models.base import load_tokenizer
            from core.models.device import choose_device, choose_dtype
            from core.models.shared_weights.shared_base import OpeningHooks, open_base
            from core.training.callbacks import Reporter
            from core.training.dataset import prepare_data
            from core.training.phase import BASE_SAMPLES, BEST, SAMPLES, WRITING
            from core.training.placement import ChatPlacement, watch_owner
            from core.training.sample_answers import LONGEST_ANSWER, choose_prompts, generate_answers
            from core.training.save_adapter import save_adapter
            from core.training.speed_for_memory import choose_form_here, tell
            from core.training.trainer import build_trainer, total_steps

        before_step, throttle = yield_to_chat(run.home, signals.received)

        # 2. Preflight: can this be trained, and chatted with here.
        init_adapter = find_init_adapter(recipe, run.home)
        check_run(run, source, init_adapter)

        # 3. Read and tokenise the data.
        tokenizer = load_tokenizer(source)
        data = prepare_data(recipe, tokenizer, vocabulary(read_config(source)))
        steps = count_steps(recipe, len(data.train))
        check_schedule(recipe, steps)
        for note in (*data.notes, *length_warnings(source, run.home, data.longest), warmup_warning(recipe, steps)):
            if note:
                run.note(note)

        # 4. Map the base that the engine has too, or load a copy; the chat is suspended where both do not fit.
        device = choose_device()
        placement = ChatPlacement(run, recipe, data.longest, should_stop=signals.received)
        base = open_base(
            source,
            run.home,
            load_in_4bit=recipe.load_in_4bit,
            use_bnb_nested_quant=recipe.use_bnb_nested_quant,
            device=device.value,
            hooks=OpeningHooks(placement.can_chat_stay, signals.received),
            progress=lambda phase: run.beat(),
        )
        run.note(f"The base in memory: {base.how.value}, {base.how.reason}.")
        with watch_owner(base.owner) as check_owner:
            # 5. Build the trainer.
            model = base.model
            dtype = choose_dtype(device.value, model.config.model_type)
            run.note(f"Training on {device.value} ({device.reason}) in {dtype.value}: {dtype.reason}.")
            form = choose_form_here(recipe, data.longest, run.home)
            run.note(tell(form))
            vocabulary_size = model.get_input_embeddings().num_embeddings
            reporter = Reporter(run, signals, evaluates=data.held_out is not None, vocabulary=vocabulary_size)
            trainer = build_trainer(
                form.recipe,
                model=model,
                tokenizer=tokenizer,
                source=source,
                train=data.train,
                held_out=data.held_out,
                folder=run.checkpoints_folder,
                dtype=dtype,
                written_out=form.written_out,
                padding_free=form.padding_free,
                init_adapter=init_adapter.folder if init_adapter else None,
                callbacks=[reporter],
                before_step=before_step,
                check=check_owner,
            )

            return_freed_memory()  # of what the weights were made from

            def answer(prompts: list[str]) -> list[str]:
                answers = generate_answers(trainer.model, tokenizer, prompts, reporter.phases.advance)
                check_owner()
                return answers

            prompts = choose_prompts(recipe, data.held_out_conversations)
            reporter.attach(prompts, answer, trainer.abandon_step)

            # 6. Train to the end, or to where a signal stops it, from the last checkpoint on if there is one.
            saved = newest_checkpoint(run.checkpoints_folder)
            if signals.received() and (signals.pause or saved is None):
                return end_untrained(run, signals)
            train(run, trainer, reporter, saved, total_steps(trainer))
            step, last_step = trainer.state.global_step, trainer.state.max_steps
            if step == 0:  # stopped within the very first step
                return end_untrained(run, signals)
            if signals.pause and step < last_step:
                return end_paused(run)

            # 7. Save the adapter, with what base and adapter answer to the same prompts.
            run.move(RunState.SAVING)
            weights_of, phases = step, reporter.begin_ending()
            if step >= last_step and recipe.load_best_model_at_end:
                phases.begin(BEST)
                weights_of = load_best_weights(run, trainer)
            phases.begin(BASE_SAMPLES, LONGEST_ANSWER)
            with trainer.model.disable_adapter():
                base_answers = answer(prompts)
            phases.begin(SAMPLES, LONGEST_ANSWER)
            samples = [Sample(*texts) for texts in zip(prompts, base_answers, answer(prompts), strict=True)]
            phases.begin(WRITING)
            reason = f"Stopped at step {step} of {last_step}." if step < last_step else ""
            record = save_adapter(
                run,
                trainer,
                reporter,
                tokenizer=tokenizer,
                source=source,
                checked=data.checked,
                steps=weights_of,
                samples=samples,
                note=reason,
            )
            append_event(run.events_path, reporter.timing(throttle.waited, count_tokens(data.held_out)))
            append_event(run.events_path, Done(adapter=record.name))
            run.move(RunState.STOPPED if step < last_step else RunState.DONE, reason, adapter=record.name)
            return SAVED
    except BaseException as error:
        return recover(run, signals, error)
    finally:
        run.reserve.unlink(missing_ok=True)


def yield_to_chat(home: Home, should_stop: Callable[[], bool]) -> tuple[Callable[[], None], TrainingThrottle]:
    """What to call before each micro-step: it waits for answers that are being written, and leaves cores to a chat.

    Also what waits in it, which knows how long it has.
    """
    import torch

    activity = ChatActivity(home)
    throttle = TrainingThrottle(activity, should_stop=should_stop)
    if threads := os.environ.get(THREADS_VARIABLE):
        torch.set_num_threads(int(threads))
        return throttle, throttle
    choose_threads = TrainingThreads(activity, torch.set_num_threads, all_threads=torch.get_num_threads())

    def before_step() -> None:
        throttle()
        choose_threads()

    return before_step, throttle


def count_tokens(rows: Dataset | None) -> int:
    return sum(map(len, rows["input_ids"])) if rows is not None else 0


def claim_run(run: Run) -> bool:
    """Take the run for this process. False when another worker has it, which must not be disturbed."""
    own = Identity.own()
    with run.state_file.locked() as change:
        status = change.status
        if status.state not in ACTIVE or (status.worker_lives() and status.worker != own):
            logger.warning("not started: the run is %s and belongs to process %s", status.state, status.pid)
            return False
        change.set(pid=own.pid, started=own.started)
    run.reserve.write_bytes(bytes(RESERVE))
    run.beat()
    return True


def train(run: Run, trainer: StudioTrainer, reporter: Reporter, saved: SavedCheckpoint | None, steps: int) -> None:
    """Train up to `steps`, from `saved` on; only take over its weights where nothing is left to train."""
    if saved is not None:
        state = trainer.restore_counts(saved)
        reporter.restore_counts(state)
        if (
            reporter.signals.received() or saved.step >= steps
        ):  # stopped while loading, or killed while saving the adapter
            return trainer.load_weights(saved, state)
    with run.state_file.locked() as change:
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


def load_best_weights(run: Run, trainer: StudioTrainer) -> int:
    """Go back to the weights with the lowest eval loss where these are not the last ones. Returns their step."""
    last = int(trainer.state.global_step)
    by_step = {saved.step: saved for saved in run.checkpoints()}
    best = find_best_step(by_step[last].path)
    if best is None or best == last or best not in by_step:
        return last
    trainer.load_adapter(by_step[best].path)
    run.note(f"The adapter has the weights of step {best}, which had the lowest eval loss, not those of step {last}.")
    return best


def end_untrained(run: Run, signals: Signals) -> int:
    if signals.pause:
        return end_paused(run)
    run.move(RunState.STOPPED, "Stopped before the first step: nothing was learnt, so there is no adapter.")
    return NOT_SAVED


def end_paused(run: Run) -> int:
    run.move(RunState.INTERRUPTED, run.state_file.read().reason)
    return NOT_SAVED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

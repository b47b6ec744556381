"""What happens around the training steps: events, TensorBoard, the heartbeat, and stopping."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from statistics import fmean
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from core.planner.time import count_checkpoints, count_multiples
from core.training.events import Checkpoint, Evaluation, Progress, SampleAnswer, Timing, append_event
from core.training.phase import CHECKPOINT, ENDING, EVALUATION, SAMPLES, TRAINING, PhaseReporter
from core.training.run import Run
from core.training.sample_answers import LONGEST_ANSWER
from core.training.signals import Signals
from core.training.state import RunState
from core.training.trainer import Diverged, EvaluationCut

WINDOW = 20  # logged steps over which the rate is averaged
BEAT_SECONDS = 1.0
PATIENCE_SECONDS = 5.0  # a stop waits so long for the rest of a step; an app that ends gives its trainer 20 in all


class Reporter(TrainerCallback):
    """Turns the trainer's logs into events and TensorBoard points, and obeys the signals between steps."""

    def __init__(self, run: Run, signals: Signals, *, evaluates: bool, vocabulary: int) -> None:
        self.run = run
        self.signals = signals
        self.evaluates = evaluates
        self.losses: list[float] = []
        self.best: float | None = None
        self.eval_loss: float | None = None
        self.seconds_before = 0.0  # trained in this run by earlier workers
        self._guessing = math.log(vocabulary)  # the loss of answering at random
        self._began = self._beaten = self._step_began = 0.0
        self._substeps = 0
        self._prompts: list[str] = []
        self._answer: Callable[[list[str]], list[str]] = lambda prompts: []
        self.phases = PhaseReporter(run, self._seconds_beyond)
        self._preparing: float | None = None
        self._ending_began: float | None = None  # when what comes after the last step began
        self._step_seconds: float | None = None
        self._plan: tuple[TrainingArguments, TrainerState] | None = None
        self._abandon_step: Callable[[], None] = lambda: None
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=WINDOW)  # (time, step, tokens)
        self._writer: SummaryWriter | None = None

    @property
    def seconds(self) -> float:
        return self.seconds_before + (time.monotonic() - self._began if self._began else 0.0)

    def attach(
        self, prompts: list[str], answer: Callable[[list[str]], list[str]], abandon_step: Callable[[], None]
    ) -> None:
        """What the trainer can do, once there is one: answer `prompts` at each checkpoint, and give up a step."""
        self._prompts, self._answer, self._abandon_step = prompts, answer, abandon_step

    def restore_counts(self, state: TrainerState) -> None:
        """Go on counting from where a checkpoint left off."""
        self.losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        evaluated = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        if evaluated:
            self.best, self.eval_loss = min(evaluated), evaluated[-1]
        earlier = [
            event.seconds
            for event in self.run.events()[0]
            if isinstance(event, Progress) and event.step <= state.global_step
        ]
        self.seconds_before = earlier[-1] if earlier else 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._began = time.monotonic()
        self._plan = args, state
        self._preparing = time.time() - prepared_since(self.run)
        # Points of steps that will be trained again are taken back, so that a resumed run draws one curve.
        self._writer = SummaryWriter(str(self.run.tensorboard), purge_step=state.global_step + 1)
        self._mark(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._beat()
        if self.phases.name == TRAINING:
            self.phases.advance()
        else:
            self.phases.begin(TRAINING)
        self._step_began, self._substeps = time.monotonic(), 0

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Between the micro-steps of one step: when asked to stop, wait for the rest of it only if that is not long."""
        self._beat()
        self.phases.advance()
        self._substeps += 1
        each = (time.monotonic() - self._step_began) / self._substeps
        if self.signals.received() and each * (args.gradient_accumulation_steps - self._substeps) > PATIENCE_SECONDS:
            begin_stopping(self.run)
            self._abandon_step()
            control.should_training_stop = True
            control.should_save = state.global_step > 0

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._beat()
        self.phases.total = len(kwargs["eval_dataloader"])
        self.phases.advance()
        if self.signals.received() and state.global_step < state.max_steps:
            begin_stopping(self.run)
            raise EvaluationCut

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        last = state.global_step >= state.max_steps
        if self.signals.received() and not last:
            begin_stopping(self.run)
            control.should_save = control.should_log = control.should_training_stop = True
            control.should_evaluate = False
        elif last and self.evaluates:
            control.should_evaluate = True
        if control.should_save or control.should_evaluate:
            control.should_log = True  # so that the checkpoint knows the losses and tokens up to its own step
            saves = control.should_save or control.should_evaluate
            names = (control.should_evaluate, EVALUATION), (saves, CHECKPOINT), (saves and self._prompts, SAMPLES)
            self.phases.announce(name for comes, name in names if comes)
            self.phases.begin(EVALUATION if control.should_evaluate else CHECKPOINT)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        loss, tokens = logs["loss"], int(logs.get("num_tokens", 0))
        self._mark(state, tokens)
        (first_time, first_step, first_tokens), (now, step, _) = self._marks[0], self._marks[-1]
        elapsed, steps = now - first_time, step - first_step
        self._step_seconds = elapsed / steps if steps else self._step_seconds
        left = self.phases.left()
        rate = (tokens - first_tokens) / elapsed if elapsed > 0 else None
        event = Progress(
            step=step,
            max_steps=state.max_steps,
            epoch=round(state.epoch or 0.0, 4),
            loss=loss,
            learning_rate=logs["learning_rate"],
            grad_norm=logs.get("grad_norm"),
            tokens=tokens,
            seconds=round(self.seconds, 3),
            tokens_per_second=round(rate, 1) if rate is not None else None,
            eta_seconds=round(left, 1) if left is not None else None,
        )
        append_event(self.run.events_path, event)
        self._draw("train", step, event, ("loss", "learning_rate", "grad_norm", "epoch", "tokens_per_second"))
        self.losses.append(loss)
        self._check(step)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not metrics or "eval_loss" not in metrics:
            return
        self.eval_loss = metrics["eval_loss"]
        best = self.best is None or self.eval_loss < self.best
        if best:
            self.best = self.eval_loss
            control.should_save = True  # the best one so far must not be lost to the steps after it
        self.phases.begin(CHECKPOINT if control.should_save else TRAINING)
        event = Evaluation(step=state.global_step, eval_loss=self.eval_loss, best=best)
        append_event(self.run.events_path, event)
        if self._writer:
            self._writer.add_scalar("eval/loss", self.eval_loss, state.global_step)
            self._writer.flush()
        self._mark(state)  # evaluating is no training: begin a new window for the rate

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        path = f"{self.run.checkpoints_folder.name}/checkpoint-{state.global_step}"
        append_event(self.run.events_path, Checkpoint(step=state.global_step, path=path))
        if not self.signals.received():  # nobody waits
            self.phases.begin(SAMPLES, LONGEST_ANSWER)
            for prompt, answer in zip(self._prompts, self._answer(self._prompts), strict=True):
                append_event(self.run.events_path, SampleAnswer(step=state.global_step, prompt=prompt, answer=answer))
        self.phases.begin(TRAINING)
        self._mark(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.close()

    def begin_ending(self) -> PhaseReporter:
        """The last step is done, and its checkpoint written: what comes now is the adapter."""
        self._ending_began = time.monotonic()
        self.phases.announce(ENDING)
        return self.phases

    def timing(self, waited: float, evaluated_tokens: int) -> Timing:
        """What the run has spent besides its steps, at its end.

        waited: seconds for chats. evaluated_tokens: in one evaluation.
        """
        known = self.phases.durations
        saving = [fmean(known[name]) for name in (CHECKPOINT, SAMPLES) if known[name]]
        return Timing(
            preparing=self._preparing,
            evaluation=fmean(known[EVALUATION]) if known[EVALUATION] else None,
            checkpoint=sum(saving) if saving else None,
            ending=time.monotonic() - self._ending_began if self._ending_began is not None else None,
            waited=round(waited, 1),
            evaluated_tokens=evaluated_tokens,
        )

    def close(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    def _seconds_beyond(self) -> float | None:
        """What the run still takes beyond what has been announced; None before the speed is known."""
        if self._ending_began is not None:
            return 0.0
        if self._plan is None or self._step_seconds is None:
            return None
        args, state = self._plan
        step, last = state.global_step, state.max_steps
        eval_steps = args.eval_steps if self.evaluates else None
        evaluations = count_multiples(eval_steps, step, last) if eval_steps else 0
        saves = count_checkpoints(args.save_steps, eval_steps, step, last)
        seconds = (last - step) * self._step_seconds + evaluations * self.phases.expected(EVALUATION)
        seconds += saves * (self.phases.expected(CHECKPOINT) + self.phases.expected(SAMPLES))
        return float(seconds + sum(map(self.phases.expected, ENDING)))

    def _mark(self, state: TrainerState, tokens: int | None = None) -> None:
        if tokens is None:
            counted = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
            tokens = int(counted[-1]) if counted else 0
            self._marks.clear()
        self._marks.append((time.monotonic(), state.global_step, tokens))

    def _draw(self, group: str, step: int, event: Progress, names: tuple[str, ...]) -> None:
        if self._writer is None:
            return
        for name in names:
            if (value := getattr(event, name)) is not None:
                self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def _check(self, step: int) -> None:
        """Raise Diverged when the last losses are worse than answering at random and twice as bad as at first."""
        if len(self.losses) < 10:
            return
        start, now = sum(self.losses[:5]) / 5, sum(self.losses[-5:]) / 5
        if now > max(self._guessing, 2 * start):
            raise Diverged(
                f"The loss rose from {start:.2f} to {now:.2f} by step {step}, worse than answering at random "
                f"({self._guessing:.2f})."
            )

    def _beat(self) -> None:
        if time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beaten = time.monotonic()
            self.run.beat()


def prepared_since(run: Run) -> float:
    """When the run's worker was started, in seconds since the epoch."""
    return next(change.at for change in reversed(run.state_file.read().timeline) if change.state is RunState.PREPARING)


def begin_stopping(run: Run) -> None:
    """Show that the run is stopping, unless whoever asked for it has done so."""
    if run.state_file.read().state is not RunState.STOPPING:
        run.move(RunState.STOPPING, "Stopped by a signal.")

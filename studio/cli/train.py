"""`python -m studio train RECIPE.yaml`: one run without the page. The last line on stdout is the adapter's folder."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from adapters.common.errors import UserError
from studio.cli.options import Subparsers, add_home_option
from studio.cli.output import print_error

if TYPE_CHECKING:
    from core.common.home import Home
    from core.recipes.recipe import Recipe
    from core.training.events import Event
    from core.training.run import Run

POLL_SECONDS = 0.2
PLAIN_SECONDS = 5.0  # between two progress lines where there is no terminal


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train an adapter from a recipe",
        description="Train an adapter without the page. Ctrl-C stops after the current step and keeps what was learnt. "
        "Exit 0: the adapter is there, its folder is the last line on stdout; 1: it failed; 2: the recipe is wrong.",
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE.yaml", help="settings in TRL's and PEFT's names")
    given.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped or cut off, by its id")
    add_home_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from core.common.home import Home
    from core.data.load import open_source
    from core.models.base import resolve
    from core.recipes.recipe import Recipe
    from core.training.launcher import request_stop, resume_run
    from core.training.run import create_run, find_run
    from core.training.state import RunState

    if args.recipe is not None:
        recipe = Recipe.read(args.recipe)
        resolve(recipe.model_name_or_path)  # what is plainly wrong is said at once, and leaves no run behind
        open_source(
            recipe.dataset_name,
            config=recipe.dataset_config,
            split=recipe.dataset_train_split,
            revision=recipe.dataset_revision,
        )
        home = Home.open(args.home)
        check_served(recipe, home)
        training = create_run(home, recipe)
    else:
        home = Home.open(args.home)
        training = find_run(home, args.resume)
        resume_run(training)

    def stop(number: int, frame: FrameType | None) -> None:
        print("Stopping after this step; what was learnt is kept. Once more stops at once.", file=sys.stderr)
        request_stop(training, "Stopped by Ctrl-C.")

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    follow_run(training)
    status = training.status()
    if status.state not in (RunState.DONE, RunState.STOPPED) or status.adapter is None:
        print_error(UserError(status.reason, f"The run is {training.id}; --resume {training.id} goes on with it."))
        return 1
    print(home.adapters / status.adapter)
    return 0


def check_served(recipe: Recipe, home: Home) -> None:
    """As far as the base's config.json tells. Raises UserError when nobody could chat with what is trained here."""
    from core.planner import NOT_SERVED, NOT_SERVED_REMEDY, ServingLimits, read_shape
    from core.planner.serving_limits import find_init_adapter

    try:
        shape = read_shape(recipe.model_name_or_path)
    except UserError:
        return  # of a family that the planner does not know; the worker looks at its modules
    targets = shape.chosen(recipe.lora_target_modules)
    reason = ServingLimits.of_home(home).why_unserved(recipe, targets, find_init_adapter(recipe, home))
    if reason and not recipe.allow_unserved:
        raise UserError(f"{NOT_SERVED} {reason}", NOT_SERVED_REMEDY)


def follow_run(training: Run) -> None:
    """Show the run's events as they come, until it is at rest. Its turn comes when no other run trains."""
    from core.training import queue
    from core.training.state import AT_REST, RunState

    show = ProgressBar() if sys.stderr.isatty() else PlainProgress()
    offset = training.events_path.stat().st_size if training.status().attempts else 0  # a resume shows what is new
    with show:
        while True:
            state = training.state()
            events, offset = training.events(offset)
            for event in events:
                show.event(event)
            if state in AT_REST:
                return
            if state is RunState.QUEUED:
                queue.start_next(training.home)
            time.sleep(POLL_SECONDS)


class PlainProgress:
    """Progress as plain lines on stderr, for logs and scripts."""

    def __init__(self) -> None:
        self.shown = 0.0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def event(self, event: Event) -> None:
        from core.training.events import Progress

        if isinstance(event, Progress):
            if event.step < event.max_steps and time.monotonic() - self.shown < PLAIN_SECONDS:
                return
            self.shown = time.monotonic()
        if text := describe_event(event):
            print(text, file=sys.stderr, flush=True)


class ProgressBar:
    """A progress bar on the terminal; everything else that happens is printed above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        self.progress = Progress(*columns, console=Console(stderr=True))
        self.task = self.progress.add_task("waiting", total=None, facts="")

    def __enter__(self) -> ProgressBar:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def event(self, event: Event) -> None:
        from core.training.events import Progress, StateChanged

        if isinstance(event, Progress):
            self.progress.update(
                self.task,
                completed=event.step,
                total=event.max_steps,
                facts=describe_progress(event),
                description="training",
            )
            return
        if isinstance(event, StateChanged):
            self.progress.update(self.task, description=event.state)
        elif text := describe_event(event):
            self.progress.console.print(text, markup=False, highlight=False)


def describe_event(event: Event) -> str:
    """One line about an event; empty for what is no news on a terminal."""
    from core.training.events import Evaluation, Note, Progress, StateChanged

    if isinstance(event, Progress):
        return f"step {event.step}/{event.max_steps}  {describe_progress(event)}"
    if isinstance(event, Evaluation):
        return f"step {event.step}: eval loss {event.eval_loss:.4f}" + (" (best so far)" if event.best else "")
    if isinstance(event, Note):
        return event.text
    if isinstance(event, StateChanged):
        return f"{event.state}: {event.reason}" if event.reason else event.state
    return ""


def describe_progress(event: Event) -> str:
    from core.training.events import Progress

    assert isinstance(event, Progress)
    parts = [f"loss {event.loss:.4f}", f"lr {event.learning_rate:.2g}"]
    if event.tokens_per_second is not None:
        parts.append(f"{event.tokens_per_second:,.0f} tokens/s")
    if event.eta_seconds is not None:
        parts.append(f"{clock_time(event.eta_seconds)} left")
    return "  ".join(parts)


def clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

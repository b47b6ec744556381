"""`python -m studio plan`: whether a run fits, what would if not, and how long it takes, before anything is loaded."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.common.errors import UserError
from core.common.home import Home
from core.planner import (
    CATALOGUE,
    NOT_SERVED_REMEDY,
    Chat,
    Gpu,
    Plan,
    ServingLimits,
    compare_methods,
    count_most_steps,
    plan_run,
    read_shape,
)
from core.recipes.recipe import Recipe
from core.recipes.warmup import check_learns
from core.serving.running_engine import ask_engine_memory
from core.serving.settings import settings_in_force
from core.training.speeds import known_speeds
from studio.cli.options import Subparsers, add_json_option
from studio.cli.output import print_json

if TYPE_CHECKING:
    from rich.console import Console

NO_DATASET = "no-dataset"  # a recipe needs a name; planning without one reads no data


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "plan",
        help="say whether a run fits this card or another, and how long it takes",
        description="Plan a run from the base's config.json alone. Exit 0: it fits, and can be "
        "chatted with; 1: not; 2: wrong input.",
    )
    parser.add_argument("recipe", nargs="?", type=Path, help="recipe.yaml (default: the default recipe, no dataset)")
    parser.add_argument("--base", help="builtin, a Hub id, a folder or a config.json (default: the recipe's)")
    parser.add_argument(
        "--gpu", help=f"{', '.join(CATALOGUE)}, cpu, or a size such as 24GB (default: what this machine has)"
    )
    parser.add_argument("--home", help="home folder whose earlier runs tell the speed")
    parser.add_argument("--no-chat", action="store_true", help="plan without the engine beside it")
    parser.add_argument("--kv-tokens", type=int, help="tokens that the engine's cache may hold (its own --kv-tokens)")
    parser.add_argument("--shared", choices=("yes", "no"), help="plan as if chat and training shared one base, or not")
    parser.add_argument(
        "--calibrate", action="store_true", help="train a few steps of the recipe first to learn this machine's speed"
    )
    parser.add_argument("--compare", action="store_true", help="also show full fine-tuning, LoRA and QLoRA in numbers")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    recipe = read_recipe(args)
    gpu = Gpu.find(args.gpu)
    home = Home.open(args.home)
    shape = read_shape(recipe.model_name_or_path)
    lengths = count_tokens(recipe) if args.recipe else None
    check_learns(recipe, count_most_steps(recipe, lengths))
    if args.calibrate:
        measure_speed(args, recipe, home)
    planned = plan_run(
        recipe,
        gpu,
        dataset_lengths=lengths,
        home=home,
        speeds=partial(known_speeds, home, recipe.model_name_or_path),
        chat=chat_settings(args, home),
        shape=shape,
        limits=ServingLimits.of_home(home),
    )
    if args.json:
        print_json(plan_to_json(planned))
    else:
        from rich.console import Console

        console = Console()
        print_plan(console, planned)
        if args.compare:
            print_comparison(console, planned)
    return 1 if planned.refused else 0


def read_recipe(args: argparse.Namespace) -> Recipe:
    if args.base == "":  # a shell variable that is not set, say: the built-in base would be planned without a word
        raise UserError("--base is empty.", "Give builtin, a Hub id, a folder or a config.json, or leave --base out.")
    if args.recipe is None:
        return Recipe.from_dict({"model_name_or_path": args.base or "builtin", "dataset_name": NO_DATASET})
    recipe = Recipe.read(args.recipe)
    if args.base and args.base != recipe.model_name_or_path:
        recipe = Recipe.from_dict(recipe.to_dict() | {"model_name_or_path": args.base})
    return recipe


def measure_speed(args: argparse.Namespace, recipe: Recipe, home: Home) -> None:
    from core.training.calibration import MEASURING, calibrate
    from core.training.speeds import save_speed

    if args.recipe is None or args.gpu is not None:
        raise UserError(
            "--calibrate trains a recipe's real data on this very machine.",
            "Give a recipe with a dataset, and leave --gpu out.",
        )
    save_speed(home, calibrate(recipe, home, lambda phase: print(f"{MEASURING}{phase}", file=sys.stderr, flush=True)))


def chat_settings(args: argparse.Namespace, home: Home) -> Chat | None:
    """The engine as it is set in this home, but for what the command line says of it."""
    if args.no_chat:
        return None
    if args.kv_tokens is not None and args.kv_tokens < 1:
        raise UserError(f"--kv-tokens is {args.kv_tokens}.", "Give a number of tokens above 0, such as 4096.")
    settings, shared = settings_in_force(home), None if args.shared is None else args.shared == "yes"
    if args.kv_tokens is not None:
        return Chat(replace(settings, kv_tokens=args.kv_tokens), shared)
    return Chat(settings, shared, ask_engine_memory(home) if args.gpu is None else None)


def count_tokens(recipe: Recipe) -> list[int] | None:
    """Tokens of each conversation, before anything is cut. None for a base that is a mere config.json."""
    if recipe.model_name_or_path.endswith(".json"):
        return None
    from core.data import TokenCounter, subsample
    from core.models.base import load_tokenizer, resolve
    from core.recipes.dataset import read_recipe_dataset

    tokenizer = load_tokenizer(resolve(recipe.model_name_or_path))
    dataset = read_recipe_dataset(recipe)
    counter = TokenCounter(tokenizer, recipe.max_length)
    for conversation in subsample(dataset.conversations, recipe.max_samples, recipe.seed):
        counter.add(conversation)
    return list(counter.lengths)


def plan_to_json(planned: Plan) -> dict[str, Any]:
    """Bytes, seconds and tokens, as plain values."""
    steps, time = planned.schedule, planned.time
    before = planned.recipe.to_dict()
    nearest = planned.nearest.to_dict() if planned.nearest else None
    return {
        "base": planned.shape.name,
        "parameters": planned.shape.parameters,
        "card": planned.gpu.name,
        "usable": planned.gpu.usable,
        "total": planned.total,
        "fits": planned.fits,
        "fits_without_chat": planned.fits or planned.without_chat,
        "reason": planned.reason,
        "served": planned.unserved is None,
        "about_serving": planned.about_serving,
        "parts": [
            {"name": part.name, "bytes": part.bytes, "owner": part.owner, "explanation": part.explanation}
            for part in planned.parts
        ],
        "nearest": {name: value for name, value in nearest.items() if value != before[name]} if nearest else None,
        "steps": steps.steps if steps else None,
        "tokens_per_epoch": steps.tokens_per_epoch if steps else None,
        "tokens_per_second": time.tokens_per_second if time else None,
        "eta_seconds": planned.eta_seconds,
        "eta_uncertainty": planned.eta_uncertainty,
        "eta_source": time.source if time else None,
    }


def print_plan(console: Console, planned: Plan) -> None:
    from rich.table import Table
    from rich.text import Text

    from studio.html.format import duration, size

    recipe = planned.recipe
    title = (
        f"{planned.shape.name} on {planned.gpu.name}: {recipe.per_device_train_batch_size} x {recipe.max_length} "
        f"tokens, rank {recipe.lora_r}, {recipe.optim}"
    )
    table = Table("part", "memory", "what it is", title=Text(title), title_justify="left")
    for part in planned.parts:
        table.add_row(Text(part.name), Text(size(part.bytes), justify="right"), Text(part.explanation))
    table.add_section()
    table.add_row("[b]Together[/b]", Text(size(planned.total), justify="right"), f"of {size(planned.gpu.usable)}")
    console.print(table)
    if planned.schedule:
        steps = planned.schedule
        console.print(
            f"{steps.rows:,} rows and {steps.tokens_per_epoch:,} tokens per epoch; {steps.steps:,} steps in all."
        )
    if planned.about_padding:
        console.print(Text(planned.about_padding))
    if planned.about_warmup:
        console.print(Text(planned.about_warmup, style="yellow"))
    if planned.time:
        if planned.eta_seconds is None:
            console.print(Text(f"{planned.time.source}."))
        else:
            about = f"{duration(planned.eta_seconds)} ± {duration(planned.eta_uncertainty)}"
            console.print(Text(f"It will take {about} ({planned.time.source})."))
    console.print(Text(planned.reason, style="green" if planned.fits else "red"))
    if planned.about_serving:
        console.print(Text(planned.about_serving, style="" if planned.served else "red"))
    if not planned.served:
        console.print(Text(NOT_SERVED_REMEDY))
    if planned.nearest:
        console.print("In the recipe:")
        new = planned.nearest.to_dict()
        for name, value in recipe.to_dict().items():
            if new[name] != value:
                console.print(Text(f"  {name}: {json.dumps(new[name])}"))


def print_comparison(console: Console, planned: Plan) -> None:
    from rich.table import Table
    from rich.text import Text

    bars = compare_methods(planned.shape, planned.gpu)
    names = [part.name for part in bars[0].parts]
    table = Table("way to train", *names, "together", "fits", title=Text(f"{planned.shape.name}, in GB (10^9 bytes)"))
    for bar in bars:
        cells = [f"{part.bytes / 1e9:.1f}" for part in bar.parts]
        table.add_row(bar.name, *cells, f"{bar.total / 1e9:.1f}", "yes" if bar.fits(planned.gpu) else "no")
    console.print(table)

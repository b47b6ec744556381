"""`python -m studio doctor`: what this machine can do, what was chosen and why, and what is wrong with its remedy."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

from adapters.common.errors import UserError
from core.common.home import Home
from studio.cli.options import Subparsers, add_json_option
from studio.cli.output import print_json

LOW_DISK_BYTES = 2 << 30
BULKY = frozenset({"checkpoints", "tb", "tensorboard", "merged"})  # folders in which nothing is ever set aside


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("doctor", help="show device, versions, choices with reasons, and problems")
    parser.add_argument("--home", default=None, help="the home folder to look at")
    parser.add_argument(
        "--base", default=os.environ.get("STUDIO_BASE", "builtin"), help="the base to look for (default: STUDIO_BASE)"
    )
    add_json_option(parser, "print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from core.models import device
    from studio.html.format import size

    facts: dict[str, Any] = {}
    problems: list[str] = []
    try:
        home = Home.open(args.home)
        free = shutil.disk_usage(home.root).free
        facts |= {"home": str(home.root), "disk_free": free}
        if free < LOW_DISK_BYTES:
            problems.append(f"Only {size(free)} are free in {home.root}: checkpoints may not fit. Free some space.")
        problems += [*find_broken_adapters(home), *find_damaged_files(home)]
    except UserError as error:
        problems.append(str(error))
    problems += find_foreign_packages()
    try:
        facts |= device.facts()
    except (UserError, ImportError, OSError) as error:
        problems.append(f"The device could not be examined: {error}")
    facts["base"] = args.base
    wrong = find_base_problems(args.base)
    problems += wrong
    if not wrong and (ends := answer_end_tokens(args.base)):
        facts["answers_end_with"] = ends
    # Whether there is a token, never the token.
    facts["hub"] = {
        "endpoint": os.environ.get("HF_ENDPOINT", "the Hugging Face Hub"),
        "offline": os.environ.get("HF_HUB_OFFLINE", "0") in ("1", "true", "True", "ON"),
        "token": "set" if os.environ.get("HF_TOKEN") else "not set",
    }
    if args.json:
        print_json({**facts, "problems": problems})
    else:
        print_report(facts, problems)
    return 1 if problems else 0


def find_foreign_packages() -> list[str]:
    """The three packages must come from one folder: PyPI has an unrelated package named `adapters`."""
    import adapters
    import core
    import studio

    roots = {module.__name__: Path(str(module.__file__)).resolve().parents[1] for module in (studio, core, adapters)}
    return [
        f"The package {name} comes from {root}, not from the studio's own folder {roots['studio']}. "
        f"Remove the other one: pip uninstall {name}."
        for name, root in roots.items()
        if root != roots["studio"]
    ]


def find_base_problems(base: str) -> list[str]:
    """Why the base could not be loaded or chatted with: no such folder or repository, one that this token may not
    read, or files that do not belong together."""
    from adapters.hub.login import api_with, is_offline
    from core.models.base import load_error, load_tokenizer, resolve

    try:
        source = resolve(base)
        if not source.local and not is_offline():
            try:
                api_with(None).hf_hub_download(source.location, "config.json")
            except (OSError, ValueError) as error:
                raise load_error(source, error) from error
        if source.local or not is_offline():
            load_tokenizer(source)
    except UserError as error:
        return [str(error)]
    return []


def answer_end_tokens(base: str) -> str | None:
    """The tokens at which the base's answers end in chat, and what training does where its template writes none."""
    from core.data.tokenize.end_of_turn import find_end_of_turn, stop_ids
    from core.models.base import load_tokenizer, read_generation_config, resolve

    try:
        source = resolve(base)
        tokenizer = load_tokenizer(source)
    except UserError:  # a Hub's base that is not here, and the Hub is out of reach
        return None
    stops = sorted(stop_ids(tokenizer, read_generation_config(source)))
    ending = find_end_of_turn(tokenizer)
    put = "" if ending.written else f" (the chat template writes no end: training puts {ending.appended} there)"
    return " ".join(str(token) for token in tokenizer.convert_ids_to_tokens(stops)) + put


def find_broken_adapters(home: Home) -> list[str]:
    from adapters.store import AdapterStore

    return [f"The adapter {name} cannot be used: {reason}" for name, reason in AdapterStore(home.adapters).broken()]


def find_damaged_files(home: Home) -> list[str]:
    """What was set aside, and which lines are passed over."""
    from adapters.common import damaged_files as damaged
    from core.common.json_records import unreadable_lines
    from core.training.speeds import MEASURED_SPEED, SPEEDS_FILE
    from studio.compare import votes

    found = [f"{file} Mend it and put it back, or delete it." for file in damaged.find_damaged(home.root, BULKY)]
    counts = {
        votes.path(home): unreadable_lines(votes.path(home), votes.VOTE_RECORD),
        home.cache / SPEEDS_FILE: unreadable_lines(home.cache / SPEEDS_FILE, MEASURED_SPEED),
    }
    reason = "cannot be understood and are passed over. They may be deleted."
    return found + [f"{count} lines of {path} {reason}" for path, count in counts.items() if count]


def print_report(facts: dict[str, Any], problems: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from studio.html.format import size

    console = Console()
    grid = Table(title="Guanaco Studio", show_header=False, title_justify="left")
    for name, value in facts.items():
        if isinstance(value, dict):
            text = "\n".join(f"{key} {detail}" for key, detail in value.items())
        elif name in ("memory", "gpu_memory", "gpu_memory_free", "disk_free"):
            text = size(value)
        else:
            text = str(value)
        grid.add_row(name.replace("_", " "), text)
    console.print(grid)
    for problem in problems:
        console.print(f"[red]Problem:[/red] {problem}")
    if not problems:
        console.print("No problems found.")

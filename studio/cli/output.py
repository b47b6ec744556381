"""What all commands print alike: errors on stderr, one JSON object for programs, progress, what was pushed."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapters.common.errors import UserError

if TYPE_CHECKING:
    import argparse

    from adapters.hub.progress import Progress

JSON_OPTION = "--json"
Command = Callable[["argparse.Namespace"], int]


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether --json is among them, or a beginning of it, which argparse takes for it."""
    return any(argument.startswith(JSON_OPTION[:3]) and JSON_OPTION.startswith(argument) for argument in arguments)


def print_json(value: dict[str, Any]) -> None:
    """Raises ValueError for a number that JSON has no word for."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half a character in a file's name, or a terminal that is not UTF-8
        text = json.dumps(value, indent=2)
    print(text)


def print_error(error: UserError, *, as_json: bool = False) -> None:
    """On stderr for people; with `as_json` for programs on stdout too."""
    print(f"Error: {error.message}", file=sys.stderr)
    if error.remedy:
        print(f"       {error.remedy}", file=sys.stderr)
    if as_json:
        print_json({"error": {"message": error.message, "remedy": error.remedy}})


def with_hub_errors(command: Command) -> Command:
    """`command` with exit code 1 where the Hub, the login or the network stood in the way."""

    @functools.wraps(command)
    def run(args: argparse.Namespace) -> int:
        from adapters.hub.errors import HubError

        try:
            return command(args)
        except HubError as error:
            print_error(error)
            return 1

    return run


def describe_push(*, private: bool, changed: bool, revision: str) -> str:
    """As "private, commit 0123456789"."""
    return f"{'private' if private else 'public'}, {f'commit {revision[:10]}' if changed else 'nothing had changed'}"


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr; nothing where stderr is no terminal."""
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from rich.console import Console
    from rich.progress import Progress as Bar

    disable_progress_bars()  # one bar, ours
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)

"""Adapters to the Hub and back (push, pull), written into their base (merge), and votes as a dataset (push-votes)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.compat import BaseFacts
    from adapters.hub.progress import Progress
    from adapters.store import AdapterStore

TOKEN = "The token is taken from HF_TOKEN or from the login of `hf auth login`."
EXIT = "Exit 0: done; 1: the Hub, the login or the network stood in the way; 2: what was asked for is wrong."


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    push = subparsers.add_parser(
        "push",
        help="upload an adapter to the Hub",
        description=f"Upload an adapter with its model card, in one commit. The last line on stdout is its address. "
        f"{TOKEN} {EXIT}",
    )
    push.add_argument("name", metavar="NAME", help="the adapter's name in the studio")
    push.add_argument("--repo", required=True, metavar="USER/NAME", help="the repository; created when there is none")
    push.add_argument("--public", action="store_true", help="make it public (default: private)")
    push.add_argument("--message", metavar="TEXT", help="commit message, such as what has changed")
    push.add_argument("--pull-request", action="store_true", help="propose it to a repository of somebody else")
    push.add_argument("--tag", metavar="TAG", help="name this version, such as v2")
    push.set_defaults(run=run_push)
    pull = subparsers.add_parser(
        "pull",
        help="fetch a LoRA adapter from the Hub",
        description=f"Fetch a LoRA adapter, safetensors only. The last line on stdout is its name here. {TOKEN} {EXIT}",
    )
    pull.add_argument("repo", metavar="USER/NAME", help="the repository")
    pull.add_argument("--name", metavar="NAME", help="the adapter's name here (default: the repository's)")
    pull.add_argument("--revision", metavar="REV", help="a commit, branch or tag (default: main)")
    pull.add_argument(
        "--same-base",
        metavar="BASE",
        help="say that it was made on a copy of BASE (builtin, a Hub id or a folder), where its base's name does not "
        "tell; its record keeps that. Shapes that differ are refused all the same when it is used",
    )
    pull.set_defaults(run=run_pull)
    merge = subparsers.add_parser(
        "merge",
        help="write an adapter into its base's weights",
        description="Make a whole model of an adapter and its base, as safetensors in the base's own precision. The "
        f"last line on stdout is the folder, or the repository's address. {TOKEN} {EXIT}",
    )
    merge.add_argument("name", metavar="NAME", help="the adapter's name in the studio")
    merge.add_argument(
        "--base", metavar="BASE", help="the base's unquantised weights (default: what the adapter names)"
    )
    merge.add_argument("--to", metavar="FOLDER", help="where to (default: the home folder's cache/merged/NAME)")
    merge.add_argument("--repo", metavar="USER/NAME", help="push the merged model there, too")
    merge.add_argument("--public", action="store_true", help="make the repository public (default: private)")
    merge.set_defaults(run=run_merge)
    ballots = subparsers.add_parser(
        "push-votes",
        help="upload the votes from the chat as a preference dataset",
        description=f"Upload the votes as a dataset for TRL's DPOTrainer, in one commit; who voted is left out. "
        f"{TOKEN} {EXIT}",
    )
    ballots.add_argument("--repo", required=True, metavar="USER/NAME", help="the dataset; created when there is none")
    ballots.add_argument("--public", action="store_true", help="make it public (default: private)")
    ballots.set_defaults(run=run_push_votes)
    for parser in (push, pull, merge, ballots):
        parser.add_argument(
            "--home", metavar="DIR", help="home folder (default: $STUDIO_HOME, or the user's data folder)"
        )


def run_push(args: argparse.Namespace) -> int:
    from adapters.hub.errors import HubError
    from adapters.hub.push import push_adapter

    try:
        with _shown() as progress:
            result = push_adapter(
                _store(args.home),
                args.name,
                args.repo,
                private=not args.public,
                message=args.message,
                pull_request=args.pull_request,
                tag=args.tag,
                progress=progress,
            )
    except HubError as error:
        return _failed(error)
    kind = "private" if result.private else "public"
    state = f"commit {result.revision[:10]}" if result.changed else "nothing had changed"
    print(f"{args.name} is at {args.repo} ({kind}, {state}):", file=sys.stderr)
    print("".join(f"  {file}\n" for file in result.files), end="", file=sys.stderr)
    print(result.url)
    return 0


def run_pull(args: argparse.Namespace) -> int:
    from adapters.hub.errors import HubError
    from adapters.hub.pull import pull_adapter

    try:
        with _shown() as progress:
            record = pull_adapter(
                _store(args.home),
                args.repo,
                revision=args.revision,
                name=args.name,
                base=_facts(args.same_base) if args.same_base else None,
                same_base=bool(args.same_base),
                progress=progress,
            )
    except HubError as error:
        return _failed(error)
    assert record.hub is not None
    commit = record.hub.revision[:10]
    copy = f" (a copy of {record.same_base.base}, as you say)" if record.same_base else ""
    base = f"{record.base_model}{copy}"
    print(f"Pulled {args.repo} at commit {commit}, an adapter for the base {base}, as:", file=sys.stderr)
    print(record.name)
    return 0


def run_merge(args: argparse.Namespace) -> int:
    from adapters.common.files import expanded
    from adapters.hub.errors import HubError
    from adapters.hub.merged_model import push_merged
    from core.common.home import Home
    from core.models.base import resolve
    from core.models.merge import merge
    from studio.adapters_page.merged_models import merged_folder

    home = Home.open(args.home)
    store = _store(args.home)
    record = store.get(args.name)
    base = resolve(args.base or (record.same_base.base if record.same_base else record.base_model))
    target = expanded(args.to) if args.to else merged_folder(home, args.name)
    try:
        with _shown() as progress:
            folder = merge(base, store.path(args.name), target, progress)
            if not args.repo:
                print(folder)
                return 0
            merged = replace(record, base_model=base.id)
            result = push_merged(folder, merged, args.repo, private=not args.public, progress=progress)
    except HubError as error:
        return _failed(error)
    print(result.url)
    return 0


def run_push_votes(args: argparse.Namespace) -> int:
    from adapters.hub.errors import HubError
    from core.common.home import Home
    from studio.compare import push as votes_push

    try:
        with _shown() as progress:
            result = votes_push.push_votes(Home.open(args.home), args.repo, private=not args.public, progress=progress)
    except HubError as error:
        return _failed(error)
    print(result.url)
    return 0


def _store(home: str | None) -> AdapterStore:
    from adapters.store import AdapterStore
    from core.common.home import Home

    return AdapterStore(Home.open(home).adapters)


def _facts(base: str) -> BaseFacts:
    from adapters.compat import BaseFacts
    from core.models.base import fingerprint, resolve

    source = resolve(base)
    return BaseFacts(source.id, fingerprint(source))


def _failed(error: Exception) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return 1


@contextmanager
def _shown() -> Iterator[Progress]:
    """A progress bar on stderr; nothing where stderr is no terminal."""
    from huggingface_hub.utils import disable_progress_bars
    from rich.console import Console
    from rich.progress import Progress as Bar

    disable_progress_bars()  # one bar, ours
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)

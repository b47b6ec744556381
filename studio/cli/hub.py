"""Adapters to the Hub and back (push, pull), written into their base (merge), and votes as a dataset (push-votes)."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from studio.cli.options import HUB_EXIT_HELP, TOKEN_HELP, Subparsers, add_home_option, add_repo_options
from studio.cli.output import describe_push, progress_bar, with_hub_errors

if TYPE_CHECKING:
    from adapters.compat import BaseFacts
    from adapters.store import AdapterStore


def add_parser(subparsers: Subparsers) -> None:
    push = subparsers.add_parser(
        "push",
        help="upload an adapter to the Hub",
        description=f"Upload an adapter with its model card, in one commit. The last line on stdout is its address. "
        f"{TOKEN_HELP} {HUB_EXIT_HELP}",
    )
    push.add_argument("name", metavar="NAME", help="the adapter's name in the studio")
    add_repo_options(push, "repository")
    push.add_argument("--message", metavar="TEXT", help="commit message, such as what has changed")
    push.add_argument("--pull-request", action="store_true", help="propose it to a repository of somebody else")
    push.add_argument("--tag", metavar="TAG", help="name this version, such as v2")
    push.set_defaults(run=run_push)
    pull = subparsers.add_parser(
        "pull",
        help="fetch a LoRA adapter from the Hub",
        description="Fetch a LoRA adapter, safetensors only. The last line on stdout is its name here. "
        f"{TOKEN_HELP} {HUB_EXIT_HELP}",
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
        f"last line on stdout is the folder, or the repository's address. {TOKEN_HELP} {HUB_EXIT_HELP}",
    )
    merge.add_argument("name", metavar="NAME", help="the adapter's name in the studio")
    merge.add_argument(
        "--base", metavar="BASE", help="the base's unquantised weights (default: what the adapter names)"
    )
    merge.add_argument("--to", metavar="FOLDER", help="where to (default: the home folder's cache/merged/NAME)")
    merge.add_argument("--repo", metavar="USER/NAME", help="push the merged model there, too")
    merge.add_argument("--public", action="store_true", help="make the repository public (default: private)")
    merge.set_defaults(run=run_merge)
    votes = subparsers.add_parser(
        "push-votes",
        help="upload the votes from the chat as a preference dataset",
        description=f"Upload the votes as a dataset for TRL's DPOTrainer, in one commit; who voted is left out. "
        f"{TOKEN_HELP} {HUB_EXIT_HELP}",
    )
    add_repo_options(votes, "dataset")
    votes.set_defaults(run=run_push_votes)
    for parser in (push, pull, merge, votes):
        add_home_option(parser)


@with_hub_errors
def run_push(args: argparse.Namespace) -> int:
    from adapters.hub.push import push_adapter

    with progress_bar() as progress:
        result = push_adapter(
            open_store(args.home),
            args.name,
            args.repo,
            private=not args.public,
            message=args.message,
            pull_request=args.pull_request,
            tag=args.tag,
            progress=progress,
        )
    state = describe_push(private=result.private, changed=result.changed, revision=result.revision)
    print(f"{args.name} is at {args.repo} ({state}):", file=sys.stderr)
    print("".join(f"  {file}\n" for file in result.files), end="", file=sys.stderr)
    print(result.url)
    return 0


@with_hub_errors
def run_pull(args: argparse.Namespace) -> int:
    from adapters.hub.pull import pull_adapter

    with progress_bar() as progress:
        record = pull_adapter(
            open_store(args.home),
            args.repo,
            revision=args.revision,
            name=args.name,
            base=base_facts(args.same_base) if args.same_base else None,
            same_base=bool(args.same_base),
            progress=progress,
        )
    assert record.hub is not None
    commit = record.hub.revision[:10]
    copy = f" (a copy of {record.same_base.base}, as you say)" if record.same_base else ""
    base = f"{record.base_model}{copy}"
    print(f"Pulled {args.repo} at commit {commit}, an adapter for the base {base}, as:", file=sys.stderr)
    print(record.name)
    return 0


@with_hub_errors
def run_merge(args: argparse.Namespace) -> int:
    from adapters.common.files import expanded
    from adapters.hub.merged_model import push_merged
    from core.common.home import Home
    from core.models.base import resolve
    from core.models.merge import merge
    from studio.adapters_page.merged_models import merged_folder

    home = Home.open(args.home)
    store = open_store(args.home)
    record = store.get(args.name)
    base = resolve(args.base or (record.same_base.base if record.same_base else record.base_model))
    target = expanded(args.to) if args.to else merged_folder(home, args.name)
    with progress_bar() as progress:
        folder = merge(base, store.path(args.name), target, progress)
        if not args.repo:
            print(folder)
            return 0
        merged = replace(record, base_model=base.id)
        result = push_merged(folder, merged, args.repo, private=not args.public, progress=progress)
    print(result.url)
    return 0


@with_hub_errors
def run_push_votes(args: argparse.Namespace) -> int:
    from core.common.home import Home
    from studio.compare import push as votes_push

    with progress_bar() as progress:
        result = votes_push.push_votes(Home.open(args.home), args.repo, private=not args.public, progress=progress)
    print(result.url)
    return 0


def open_store(home: str | None) -> AdapterStore:
    from adapters.store import AdapterStore
    from core.common.home import Home

    return AdapterStore(Home.open(home).adapters)


def base_facts(base: str) -> BaseFacts:
    from adapters.compat import BaseFacts
    from core.models.base import fingerprint, resolve

    source = resolve(base)
    return BaseFacts(source.id, fingerprint(source))

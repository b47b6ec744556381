"""`python -m studio push-data NAME --repo user/name`: a dataset of the home folder to the Hub."""

from __future__ import annotations

import argparse
import sys

from core.data.store import COLLECTED
from studio.cli.options import HUB_EXIT_HELP, TOKEN_HELP, Subparsers, add_home_option, add_repo_options
from studio.cli.output import describe_push, with_hub_errors


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "push-data",
        help="upload a dataset of the studio, such as the answers kept from the chat, to the Hub",
        description="Upload a dataset as JSON Lines of messages with a card, in one commit. The last line on stdout is "
        f"its address. {TOKEN_HELP} {HUB_EXIT_HELP}",
    )
    parser.add_argument("name", metavar="NAME", help=f"the dataset's name in the studio, such as {COLLECTED}")
    add_repo_options(parser, "repository")
    parser.add_argument("--license", metavar="ID", help="the data's licence as the Hub writes it, such as cc-by-4.0")
    parser.add_argument("--message", metavar="TEXT", help="commit message")
    add_home_option(parser)
    parser.set_defaults(run=run)


@with_hub_errors
def run(args: argparse.Namespace) -> int:
    from core.common.home import Home
    from core.data import read_dataset
    from studio.data.push import find_own_dataset, push_own_dataset

    kept = find_own_dataset(Home.open(args.home), args.name)
    dataset = read_dataset(kept.dataset_name)
    result = push_own_dataset(
        kept, dataset, args.repo, private=not args.public, license=args.license, message=args.message
    )
    state = describe_push(private=result.private, changed=result.changed, revision=result.revision)
    print(f"{args.name} is at {args.repo} ({state}).", file=sys.stderr)
    print(result.url)
    return 0

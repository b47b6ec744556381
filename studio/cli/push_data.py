"""`python -m studio push-data NAME --repo user/name`: a dataset of the home folder to the Hub."""

from __future__ import annotations

import argparse
import sys

from core.data.store import COLLECTED


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "push-data",
        help="upload a dataset of the studio, such as the answers kept from the chat, to the Hub",
        description="Upload a dataset as JSON Lines of messages with a card, in one commit. The last line on stdout is "
        "its address. The token is taken from HF_TOKEN or from the login of `hf auth login`. Exit 0: done; 1: the Hub, "
        "the login or the network stood in the way; 2: what was asked for is wrong.",
    )
    parser.add_argument("name", metavar="NAME", help=f"the dataset's name in the studio, such as {COLLECTED}")
    parser.add_argument("--repo", required=True, metavar="USER/NAME", help="the repository; created when there is none")
    parser.add_argument("--public", action="store_true", help="make it public (default: private)")
    parser.add_argument("--license", metavar="ID", help="the data's licence as the Hub writes it, such as cc-by-4.0")
    parser.add_argument("--message", metavar="TEXT", help="commit message")
    parser.add_argument("--home", metavar="DIR", help="home folder (default: $STUDIO_HOME, or the user's data folder)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from adapters.hub.errors import HubError
    from core.common.home import Home
    from core.data import read_dataset
    from studio.data.push import find_own_dataset, push_own_dataset

    kept = find_own_dataset(Home.open(args.home), args.name)
    dataset = read_dataset(kept.dataset_name)
    try:
        result = push_own_dataset(
            kept, dataset, args.repo, private=not args.public, license=args.license, message=args.message
        )
    except HubError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    kind = "private" if result.private else "public"
    state = f"commit {result.revision[:10]}" if result.changed else "nothing had changed"
    print(f"{args.name} is at {args.repo} ({kind}, {state}).", file=sys.stderr)
    print(result.url)
    return 0

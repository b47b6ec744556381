"""Options that several commands take alike, and what their help says alike."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # it has no public name
TOKEN_HELP = "The token is taken from HF_TOKEN or from the login of `hf auth login`."
HUB_EXIT_HELP = "Exit 0: done; 1: the Hub, the login or the network stood in the way; 2: what was asked for is wrong."


def add_home_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", metavar="DIR", help="home folder (default: $STUDIO_HOME, or the user's data folder)")


def add_repo_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Where to push: what: "repository" or "dataset"."""
    parser.add_argument("--repo", required=True, metavar="USER/NAME", help=f"the {what}; created when there is none")
    parser.add_argument("--public", action="store_true", help="make it public (default: private)")


def add_json_option(parser: argparse.ArgumentParser, help: str = "print one JSON object") -> None:
    parser.add_argument("--json", action="store_true", help=help)

"""`python -m studio deploy user/name`: create or update a Hugging Face Space that runs this studio."""

from __future__ import annotations

import argparse
import getpass
import sys

from adapters.common.errors import UserError
from studio.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    from studio.deploy import catalogue

    choices = "\n".join(
        f"  {base.id:38} {base.reason}{' (gated)' if base.gated else ''}" for base in catalogue.CATALOGUE
    )
    parser = subparsers.add_parser(
        "deploy",
        help="create or update a Hugging Face Space that runs this studio",
        description="Create or update a Hugging Face Space that runs this studio.",
        epilog=f"Bases that fit a T4 with chat and training together:\n{choices}\n"
        "  builtin                                ships with the studio; for free CPU hardware too",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("repo_id", metavar="USER/NAME", help="the Space")
    parser.add_argument("--hardware", help="such as t4-small (what a new Space gets), l4x1 or cpu-basic")
    parser.add_argument(
        "--base", help=f"builtin or a Hub id (default for a new Space: {catalogue.DEFAULT} on a GPU, else builtin)"
    )
    parser.add_argument("--private", action="store_true", help="only you see the Space")
    parser.add_argument("--volume", metavar="USER/BUCKET", help="keep runs and adapters in this bucket, at /data")
    parser.add_argument(
        "--keep-in",
        metavar="USER/NAME",
        help="without a volume: keep them in this private dataset repository, with the secret HF_TOKEN",
    )
    parser.add_argument(
        "--sleep-time", type=int, metavar="SECONDS", help="sleep when nobody came for so long; -1: never"
    )
    parser.add_argument("--owner", action="append", default=[], metavar="NAME", help="one more who may do everything")
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME",
        help="ask for the value of this secret; HF_TOKEN lets the Space read gated bases and push",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.deploy import catalogue, space

    names = list(dict.fromkeys(args.secret))
    known = catalogue.find_base(args.base) if args.base else None
    if ((known is not None and known.gated) or args.keep_in) and "HF_TOKEN" not in names:
        names.append("HF_TOKEN")  # without it the Space could not read the base, or write to that repository
    deployment = space.plan_deployment(
        args.repo_id,
        base=args.base,
        hardware=args.hardware,
        private=args.private,
        volume=args.volume,
        keep_in=args.keep_in,
        sleep_time=args.sleep_time,
        owners=tuple(args.owner),
        secrets={name: "" if args.dry_run else ask_secret(name) for name in names},
    )
    print(space.describe_deployment(deployment))
    if args.dry_run:
        print("\nNothing was sent.")
        return 0
    from huggingface_hub import HfApi

    print(f"\nDeployed: {space.deploy(deployment, HfApi())}")
    return 0


def ask_secret(name: str) -> str:
    """A secret, typed unseen; or the next line of standard input when that is no terminal."""
    value = getpass.getpass(f"Value of the secret {name}: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    if not value:
        raise UserError(f"The secret {name} is empty.", f"Type it when asked, or pipe it in: … deploy --secret {name}")
    return value

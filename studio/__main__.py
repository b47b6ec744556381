"""The command line. Exit codes: 0 done, 1 the work failed, 2 wrong usage or input."""

from __future__ import annotations

import argparse
import sys

from core.errors import UserError
from studio.cli import check_data, deploy, doctor, hub, plan, push_data, serve, train

COMMANDS = (serve, train, plan, check_data, hub, push_data, deploy, doctor)


def main(arguments: list[str] | None = None) -> int:
    args = parse(sys.argv[1:] if arguments is None else arguments)
    stop_if_intruded()
    try:
        return int(args.run(args))
    except UserError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"       {error.remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(arguments: list[str]) -> argparse.Namespace:
    """Without a command, or with options only, `serve` is meant."""
    parser = argparse.ArgumentParser(
        prog="python -m studio",
        description="Chat with a 4-bit base, teach it, compare its adapters, push them to the Hub.",
    )
    subparsers = parser.add_subparsers(metavar="command", title="commands", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    return parser.parse_args(arguments)


def stop_if_intruded() -> None:
    found = doctor.intruders()
    if found:
        sys.exit("Error: " + "\n".join(found))


if __name__ == "__main__":
    sys.exit(main())

"""The command line. Exit codes: 0 done, 1 the work failed, 2 wrong usage or input.

With --json there is one JSON object on stdout, whatever happens: the result, or {"error": {"message", "remedy"}}.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from typing import NoReturn

from adapters.common.errors import UserError
from studio.cli import check_data, deploy, doctor, hub, output, plan, push_data, serve, train

COMMANDS = (serve, train, plan, check_data, hub, push_data, deploy, doctor)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = output.wants_json(arguments)
    try:
        args = parse(arguments)
        check_packages()
        return int(args.run(args))
    except UserError as error:
        return failed(error, as_json, 2)
    except KeyboardInterrupt:
        return failed(UserError("It was interrupted."), True, 130) if as_json else 130
    except Exception as error:
        if not as_json:
            raise
        traceback.print_exc()
        message = f"Something unforeseen went wrong ({type(error).__name__}: {error})."
        return failed(UserError(message, "The traceback is on stderr."), True, 2)


def failed(error: UserError, as_json: bool, code: int) -> int:
    output.print_error(error, as_json=as_json)
    return code


class Parser(argparse.ArgumentParser):
    """Tells what is wrong like everything else that is wrong with the input."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UserError(f"{message[:1].upper()}{message[1:]}.", f"{self.prog} --help tells what there is.")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Without a command, or with options only, `serve` is meant. Raises UserError for what is none of it."""
    parser = Parser(
        prog="python -m studio",
        description="Chat with a 4-bit base, teach it, compare its adapters, push them to the Hub.",
    )
    subparsers = parser.add_subparsers(metavar="command", title="commands", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    return parser.parse_args(arguments)


def check_packages() -> None:
    """Raises UserError where another package has the name of one of the studio's."""
    if problems := doctor.find_foreign_packages():
        raise UserError("\n".join(problems))


if __name__ == "__main__":
    sys.exit(main())

"""The command line. Exit codes: 0 done, 1 the work failed, 2 wrong usage or input.

With --json there is one JSON object on stdout, whatever happens: the result, or {"error": {"message", "remedy"}}.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from typing import NoReturn

from adapters.common.errors import UserError
from studio.cli import check_data, deploy, doctor, hub, plan, printed, push_data, serve, train

COMMANDS = (serve, train, plan, check_data, hub, push_data, deploy, doctor)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    for_programs = printed.is_asked(arguments)
    try:
        args = parse(arguments)
        stop_if_intruded()
        return int(args.run(args))
    except UserError as error:
        return failed(error, for_programs, 2)
    except KeyboardInterrupt:
        return failed(UserError("It was interrupted."), True, 130) if for_programs else 130
    except Exception as error:
        if not for_programs:
            raise
        traceback.print_exc()
        what = f"Something unforeseen went wrong ({type(error).__name__}: {error})."
        return failed(UserError(what, "The traceback is on stderr."), True, 2)


def failed(error: UserError, for_programs: bool, code: int) -> int:
    print(f"Error: {error.message}", file=sys.stderr)
    if error.remedy:
        print(f"       {error.remedy}", file=sys.stderr)
    if for_programs:
        printed.print_error(error.message, error.remedy)
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


def stop_if_intruded() -> None:
    found = doctor.intruders()
    if found:
        raise UserError("\n".join(found))


if __name__ == "__main__":
    sys.exit(main())

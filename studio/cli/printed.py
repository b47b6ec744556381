"""What a command prints for programs (--json): one JSON object on stdout, whatever happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

OPTION = "--json"


def is_asked(arguments: Sequence[str]) -> bool:
    """Whether --json is among them, or a beginning of it, which argparse takes for it."""
    return any(each.startswith(OPTION[:3]) and OPTION.startswith(each) for each in arguments)


def print_json(value: dict[str, Any]) -> None:
    """Raises ValueError for a number that JSON has no word for."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half a character in a file's name, or a terminal that is not UTF-8
        text = json.dumps(value, indent=2)
    print(text)


def print_error(message: str, remedy: str = "") -> None:
    print_json({"error": {"message": message, "remedy": remedy}})

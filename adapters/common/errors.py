"""The one error class meant for people. It sits in the leaf package so that all three packages raise the same class."""

from __future__ import annotations

import re

_PATH = re.compile(r"(?<![\w:/.~-])(?:~[\w.-]*)?(?:/[\w.+@-]+)+/([\w.+@-]+)")


class UserError(Exception):
    """Something a person can act on: what was given and what is wrong (`message`), what to do about it (`remedy`).

    Raised anywhere, translated at the edges only: the page shows it in place, the API answers with its text, the
    command line prints it and exits. Anything else that is raised is a bug.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


def shortened(value: object) -> str:
    """A stranger's value as a message can show it."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python writes
        return "a number of thousands of digits"
    except RecursionError:
        return "lists within lists"
    return text if len(text) <= 80 else f"{text[:79]}…"


def without_paths(text: str) -> str:
    """A message as others than the owner of this machine may read it: of each path the last part alone."""
    return _PATH.sub(r"\1", text)

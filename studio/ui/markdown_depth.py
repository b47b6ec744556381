"""Text whose Markdown is nested so deep that a browser would draw nothing of it, or stand still: shown as it is.

Gradio's Markdown is drawn by calls within calls, which end somewhere, and the marks of emphasis in a paragraph are
compared with each other. What has more of either than anybody writes is shown between fences, and taken out of them
again wherever the words are wanted. Each text is gone through once.
"""

from __future__ import annotations

import re

LEVELS = 100  # of quotes and lists in each other, by marks or by blanks
RUN = 500  # of the same mark without a break
MARKS = 2_500  # of emphasis in one paragraph
SMALL, LARGE = 100, 200_000  # characters: too short for any of them, and more than is looked through
INDENT = re.compile(r"^[ \t]{400}", re.MULTILINE)
QUOTED = re.compile(rf"^[ \t]*+(?:>[ \t]*+|(?:[-+*]|\d{{1,9}}[.)])[ \t]++){{{LEVELS}}}", re.MULTILINE)
EMPHASIS = re.compile(r"[*_~]+")
PARAGRAPH = re.compile(r"\n[ \t]*\n")
FENCED = re.compile(r"(~{3,})as-it-is\n(.*)\n\1", re.DOTALL)
TILDES = re.compile(r"~{3,}")


def fence_if_too_deep(text: str) -> str:
    """The text as a chat may draw it: itself, or between fences."""
    if len(text) < SMALL or not is_too_deep(text):
        return text
    fence = "~" * max(3, 1 + max((len(run) for run in TILDES.findall(text)), default=0))
    return f"{fence}as-it-is\n{text}\n{fence}"


def unfence(text: str) -> str:
    """The text of what `shown` made of it."""
    found = FENCED.fullmatch(text)
    return found[2] if found else text


def is_too_deep(text: str) -> bool:
    if len(text) > LARGE or INDENT.search(text) or QUOTED.search(text):
        return True
    for paragraph in PARAGRAPH.split(text):
        runs = [len(run) for run in EMPHASIS.findall(paragraph)]
        if len(runs) > MARKS or max(runs, default=0) > RUN:
            return True
    return False

"""docs/permissions.md, made from the tables that the access middleware enforces.

`python -m tests.studio.auth.permission_table` writes it anew; test_permission_table.py compares it.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import studio.app  # noqa: F401  it imports every handler, so that all of them are in the table
from studio.auth.identity import Role
from studio.auth.permissions import COUNTED, EVENTS, ROUTES, Needed

DOCS = Path(__file__).parents[3] / "docs" / "permissions.md"
COMMAND = "python -m tests.studio.auth.permission_table"
HEAD = f"""# Permissions

Which requests the access middleware lets through, and for whom. Each role may also do what the ones before it may; what
is not here is refused, for the owner too. [security.md](security.md) says what that is to protect.

This page is made from `studio/auth/permissions.py` and from the decorator `requires` at each event handler, by
`{COMMAND}`; a test compares it.
"""


def table() -> str:
    return "\n".join([HEAD, *routes(), "", *events()]) + "\n"


def routes() -> list[str]:
    """The routes in the order in which they are tried. A path is a regular expression for the whole of it."""
    rows = [f"| {methods} | `{escaped(path)}` | {who(needed)} |" for methods, path, needed in ROUTES]
    return ["## Routes", "", "| methods | path | from |", "| --- | --- | --- |", *rows]


def events() -> list[str]:
    """The events of the page by role and module."""
    lines = [
        "## Events of the page",
        "",
        "By the module and the name of their handlers. *Counted* ones count against the limits of messages.",
    ]
    for role in Role:
        names = sorted(name for name, needed in EVENTS.items() if needed is role and name)
        if not names:
            continue
        lines += ["", f"### From {who(role)}", "", "| module | events |", "| --- | --- |"]
        for module, found in groupby(names, lambda name: name.rpartition(".")[0]):
            listed = [f"{name.rpartition('.')[2]}{' (*counted*)' if name in COUNTED else ''}" for name in found]
            lines.append(f"| studio.{module} | {', '.join(listed)} |")
    return lines


def who(needed: Needed) -> str:
    return needed.name.lower() if isinstance(needed, Role) else "who sees runs"


def escaped(path: str) -> str:
    """As it stands in a table of Markdown."""
    return path.replace("|", r"\|")


if __name__ == "__main__":
    DOCS.write_text(table())

"""The page of permissions in the docs is what the middleware enforces."""

from __future__ import annotations

from tests.studio.auth.permission_table import COMMAND, DOCS, table


def test_the_page_of_permissions_is_what_the_tables_say() -> None:
    printed = table()
    print(printed)
    assert DOCS.read_text() == printed, f"renew it: {COMMAND}"

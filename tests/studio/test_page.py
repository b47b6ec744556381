"""The page as a whole: what its tabs do first."""

from __future__ import annotations

from studio.context import Studio
from studio.page import build_page
from studio.page_handlers import TABS


def test_the_address_follows_a_tab_before_anything_that_takes_long(quiet_studio: Studio) -> None:
    """The browser sends what belongs to one event one after the other."""
    config = build_page(quiet_studio).get_config_file()
    names = {part["id"]: part["props"].get("id") for part in config["components"] if part["type"] == "tabitem"}
    first: dict[str, str] = {}
    for event in config["dependencies"]:
        for part, kind in event["targets"]:
            if kind == "select" and names.get(part) in TABS:
                first.setdefault(names[part], str(event["js"]))
    assert first == {name: f"() => studio.went('{name}')" for name in TABS}

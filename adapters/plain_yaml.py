"""YAML from strangers: plain values only, and no aliases, by which a small text becomes a huge value."""

from __future__ import annotations

from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


def load(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError, also for what is nested too deeply or has too many digits."""
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (ValueError, RecursionError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error

"""YAML from strangers: plain values, no key twice, and no aliases, by which a small text becomes a huge value."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for key, count in keys.items() if count > 1]:
            raise yaml.YAMLError(f"{twice[0]!r} stands in it twice")  # of which only the last would count
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError, also for what is nested too deeply or has too many digits."""
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (ValueError, RecursionError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error

"""Cards for the Hub: metadata in huggingface_hub's card classes, text from the Jinja2 templates in templates/.

The templates are written as for ModelCard.from_template, but are rendered here, since that method neither escapes
values nor refuses a template that lacks one. Every value is escaped, unless a filter says where it stands:

    {{ value|cell }}      in a table: no markup of its own, no line break that would end the row
    {{ value|verbatim }}  inside code, where Markdown shows every character as it is
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CardData, DatasetCard, ModelCard
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render_card(card_class: type[ModelCard | DatasetCard], data: CardData, template: str, **values: Any) -> str:
    """The README.md of a repository: `data` as its front matter, in the order given there, and the template's text.

    Raises jinja2.UndefinedError when the template needs a value that is not given.
    """
    card = _environment.get_template(template).render(card_data=data.to_yaml(), **values)
    return str(card_class(card.rstrip() + "\n"))


def cell(value: Any) -> Markup:
    if isinstance(value, Markup):
        return value
    text = html.escape(str(value), quote=False)
    return Markup(text.replace("|", "\\|").replace("\r", "").replace("\n", "<br>"))


def verbatim(value: str) -> Markup:
    return Markup(value)


def to_yaml(values: Any) -> Markup:
    """For a block of code."""
    return Markup(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000))


_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_environment.filters |= {"cell": cell, "verbatim": verbatim, "to_yaml": to_yaml}

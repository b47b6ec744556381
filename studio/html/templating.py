"""HTML from the Jinja2 templates in studio/html/templates. Every value is escaped unless it is Markup already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from studio.html.format import duration, moment, number, size

FOLDER = Path(__file__).parent / "templates"
_environment = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,  # a name that is not given is an error, not an empty place
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.filters |= {"duration": duration, "moment": moment, "size": size, "number": number}


def render(template: str, **values: Any) -> Markup:
    """The template of that name, such as "runs/card.html", with `values`. What it gives can be put into another one.

    Raises jinja2.UndefinedError where the template needs a value that is not given.
    """
    return Markup(_environment.get_template(template).render(**values))

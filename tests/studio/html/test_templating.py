"""Templates: every value is escaped, and a missing one is an error."""

from __future__ import annotations

import pytest
from jinja2 import DictLoader, UndefinedError
from markupsafe import Markup

from studio.html import templating
from studio.html.templating import render


def test_values_are_escaped_and_missing_ones_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"inner.html": "<b>{{ name }}</b>", "outer.html": "<p>{{ inner }} {{ seconds|duration }}</p>"}
    environment = templating._environment.overlay(loader=DictLoader(texts))
    monkeypatch.setattr(templating, "_environment", environment)
    inner = render("inner.html", name="<i>&")
    assert inner == Markup("<b>&lt;i&gt;&amp;</b>")
    assert render("outer.html", inner=inner, seconds=65) == "<p><b>&lt;i&gt;&amp;</b> 1 min 05 s</p>"
    with pytest.raises(UndefinedError):
        render("inner.html")

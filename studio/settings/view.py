"""What the Settings tab shows: the base, the machine, what takes how much space, code for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from core.common.home import Home
from core.models.base import name_of
from core.serving.settings import SETTINGS
from studio.deploy.catalogue import CATALOGUE, T4_BYTES
from studio.html.format import size
from studio.html.fragments import render_table
from studio.html.templating import render
from studio.settings import storage
from studio.settings.engine_settings import NAMES_IN_HEALTH

FACTS_LATER = render("shared/empty.html", text="Device, memory and versions are being looked up …")
STORAGE_LATER = render("shared/empty.html", text="What each kind of thing takes is being added up …")
IN_BYTES = ("memory", "gpu_memory", "gpu_memory_free", "disk_free")  # of the facts


def render_base(base: str) -> Markup:
    """The base that is served, and others that could be, with what they take."""
    rows = [
        (
            f"{known.id}{' (gated)' if known.gated else ''}",
            known.reason,
            f"{known.parameters / 1e9:.2f} B",
            size(known.four_bit_bytes),
            "yes" if known.fits_t4 else "not both at once" if known.four_bit_bytes < T4_BYTES else "no",
            known.license,
        )
        for known in CATALOGUE
    ]
    head = ("Base", "Why", "Parameters", "In 4 bit", "Chat and training on a T4", "License")
    return render("settings/base.html", base=name_of(base), table=render_table(head, rows))


def render_facts(facts: Mapping[str, Any], engine_choices: Mapping[str, Mapping[str, Any]]) -> Markup:
    """`facts` of the machine, and what the engine chose and why, but for what its settings show."""
    rows: list[tuple[str, str, str]] = []
    for name, value in facts.items():
        if name in ("versions", "problems", "hub") or name.endswith("_reason"):
            continue
        text = size(value) if name in IN_BYTES else str(value)
        rows.append((name.replace("_", " "), text, str(facts.get(f"{name}_reason", ""))))
    for name, choice in engine_choices.items():
        if name not in SETTINGS and name not in NAMES_IN_HEALTH.values():
            rows.append((f"engine: {name}", str(choice.get("value", "")), str(choice.get("reason", ""))))
    rows += [(name, version, "") for name, version in facts.get("versions", {}).items()]
    table = render_table(("What", "Value", "Why"), rows)
    return render("settings/facts.html", problems=facts.get("problems", []), table=table)


def render_storage(home: Home) -> Markup:
    used = storage.used(home)
    rows = [
        ("Runs", size(used.runs), f"{size(used.checkpoints)} of it are checkpoints of runs that have ended"),
        ("Adapters", size(used.adapters), "deleted one by one on their page"),
        ("Datasets", size(used.datasets), "what was uploaded"),
        ("Cache", size(used.cache), "the quantised base; made again when it is needed"),
        ("Trash", size(used.trash), "deleted runs, until it is emptied"),
        ("Free", size(used.free), str(home.root)),
    ]
    return render_table(("What", "Size", ""), rows)


def render_snippets(codes: Mapping[str, str]) -> Markup:
    """`codes` by language, the first one open."""
    return render("settings/snippets.html", codes=codes)

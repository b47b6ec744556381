"""Settings of this studio and facts about its machine: the base, what was chosen and why, storage, notifications."""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.models.base import name_of
from core.serving.settings import SETTINGS
from core.training import trash
from studio.auth.identity import Role, user_of
from studio.context import Studio
from studio.deploy.catalogue import CATALOGUE, T4_BYTES
from studio.settings import engine_settings, storage
from studio.settings.engine_settings import TOLD_AS
from studio.settings.snippets import shown, snippets
from studio.ui.events import told
from studio.ui.format import size
from studio.ui.fragments import render_table

GATED = (
    "<p><b>A gated base</b> (marked below) wants its authors to be asked first: open its page on the Hub, accept the "
    "terms with your account, wait for access where it is not given at once, make a token that may read gated "
    "repositories, and start the studio with it in <code>HF_TOKEN</code>.</p>"
)
FACTS_LATER = '<div class="empty">Device, memory and versions are being looked up …</div>'
STORAGE_LATER = '<div class="empty">What each kind of thing takes is being added up …</div>'
FOR_PROGRAMS = (
    "<h2>For programs</h2><p>The studio speaks OpenAI's protocol at <code>/v1</code>. A model is the base or an "
    "adapter by its name. A studio that only this machine reaches needs no key; elsewhere the owner makes one.</p>"
)
SURE = "() => confirm('Delete the checkpoints of all runs that have ended? They can then not be continued.')"


def build(studio: Studio, tab: gr.Tab) -> None:
    """`tab`: the one it lies in; what takes a while is looked up when that is first opened."""
    with gr.Row():
        with gr.Column(min_width=320):
            gr.HTML(base_text(studio), elem_id="base")
            notify = gr.Checkbox(
                False, label="Tell me when a run ends (a notification of this browser)", elem_id="notify"
            )
            sound = gr.Checkbox(False, label="Play a sound when a run ends", elem_id="sound")
            with gr.Column(visible=False) as space:
                gr.HTML("<h2>Storage</h2>")
                stored = gr.HTML(STORAGE_LATER, elem_id="storage")
                with gr.Row(elem_classes="actions"):
                    empty_trash = gr.Button("Empty the trash", size="sm", elem_id="empty-trash")
                    drop_checkpoints = gr.Button("Delete old checkpoints", size="sm", elem_id="drop-checkpoints")
                    drop_cache = gr.Button("Clean the cache", size="sm", elem_id="drop-cache")
                engine_settings.build(studio, tab)
        with gr.Column(min_width=320, visible=False) as machine:
            gr.HTML("<h2>This machine</h2>")
            facts = gr.HTML(FACTS_LATER, elem_id="facts")
            with gr.Row(elem_classes="actions"):
                examine = gr.Button("Look again", size="sm", elem_id="examine")
    gr.HTML(FOR_PROGRAMS)
    codes = gr.HTML("", elem_id="snippets")

    def arrive(request: gr.Request) -> list[Any]:
        return [gr.Column(visible=user_of(request).role is Role.OWNER)] * 2

    def facts_now() -> str:
        return facts_table(studio)

    def opened(request: gr.Request) -> Any:
        return storage_table(studio) if user_of(request).role is Role.OWNER else gr.skip()

    def first_facts(request: gr.Request, shown: str) -> Any:
        """They take seconds, so they are looked up once for each page."""
        wanted = shown == FACTS_LATER and user_of(request).role is Role.OWNER
        return facts_table(studio) if wanted else gr.skip()

    def clear_trash() -> str:
        gr.Info(f"{size(trash.empty_trash(studio.home))} are free again.")
        return storage_table(studio)

    def clear_checkpoints(sure: bool) -> str:
        if sure:
            gr.Info(f"{size(storage.drop_checkpoints(studio.home))} are free again.")
        return storage_table(studio)

    def clear_cache() -> str:
        gr.Info(f"{size(storage.drop_cache(studio.home))} are free again; what is needed is made anew.")
        return storage_table(studio)

    def show_snippets(request: gr.Request) -> str:
        return shown(snippets(origin_of(request), "base"))

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    sure = gr.Checkbox(False, label="Sure", visible="hidden")
    gr.on(None, arrive, None, [space, machine], queue=False, **private)
    tab.select(told(opened), None, stored, **private)
    tab.select(told(first_facts), facts, facts, **private)
    examine.click(told(facts_now), None, facts, api_visibility="private")
    empty_trash.click(told(clear_trash), None, stored, **private)
    drop_checkpoints.click(told(clear_checkpoints), sure, stored, js=SURE, **private)
    drop_cache.click(told(clear_cache), None, stored, **private)
    notify.input(None, notify, notify, js="(wanted) => studio.wantNotifications(wanted)", **private)
    gr.on(None, show_snippets, None, codes, queue=False, **private)
    sound.input(None, sound, sound, js="(wanted) => studio.wantSound(wanted)", **private)
    gr.on(None, None, None, [notify, sound], js="() => studio.wanted()", queue=False, **private)


def base_text(studio: Studio) -> str:
    """The base that is served, and others that could be, with what they take."""
    rows = [
        (
            f"{base.id}{' (gated)' if base.gated else ''}",
            base.reason,
            f"{base.parameters / 1e9:.2f} B",
            size(base.four_bit_bytes),
            "yes" if base.fits_t4 else "not both at once" if base.four_bit_bytes < T4_BYTES else "no",
            base.license,
        )
        for base in CATALOGUE
    ]
    head = ("Base", "Why", "Parameters", "In 4 bit", "Chat and training on a T4", "License")
    return (
        f"<h2>Base model</h2><p>This studio serves <b>{escape(name_of(studio.base))}</b>. A studio has one base, "
        "because every adapter belongs to one. For another, start it with "
        "<code>python -m studio serve --base owner/name</code>; "
        "runs and adapters stay, and those of the other base are marked.</p>"
        f"<details><summary>Bases that are known to work</summary>{render_table(head, rows)}{GATED}</details>"
    )


def facts_table(studio: Studio) -> str:
    """What `python -m studio doctor` finds, asked in a process of its own (torch stays out of this one), and what the
    engine chose and why. Raises UserError when that process fails."""
    command = [sys.executable, "-m", "studio", "doctor", "--json", "--home", str(studio.home.root)]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    try:
        found: dict[str, Any] = json.loads(asked.stdout)
    except json.JSONDecodeError:
        raise UserError("The machine could not be examined.", "See `python -m studio doctor`.") from None
    if error := found.get("error"):
        raise UserError(error["message"], error["remedy"])
    rows: list[tuple[str, str, str]] = []
    for name, value in found.items():
        if name in ("versions", "problems", "hub") or name.endswith("_reason"):
            continue
        text = size(value) if name in ("memory", "gpu_memory", "gpu_memory_free", "disk_free") else str(value)
        rows.append((name.replace("_", " "), text, str(found.get(f"{name}_reason", ""))))
    for name, choice in studio.client.choices().items():
        if name in SETTINGS or name in TOLD_AS.values():
            continue  # told among the engine's settings
        rows.append((f"engine: {name}", str(choice.get("value", "")), str(choice.get("reason", ""))))
    rows += [(name, version, "") for name, version in found.get("versions", {}).items()]
    problems = "".join(f'<p class="error">{escape(each)}</p>' for each in found.get("problems", []))
    return f"{problems}{render_table(('What', 'Value', 'Why'), rows)}"


def storage_table(studio: Studio) -> str:
    found = storage.used(studio.home)
    rows = [
        ("Runs", size(found.runs), f"{size(found.checkpoints)} of it are checkpoints of runs that have ended"),
        ("Adapters", size(found.adapters), "deleted one by one on their page"),
        ("Datasets", size(found.datasets), "what was uploaded"),
        ("Cache", size(found.cache), "the quantised base; made again when it is needed"),
        ("Trash", size(found.trash), "deleted runs, until it is emptied"),
        ("Free", size(found.free), str(studio.home.root)),
    ]
    return render_table(("What", "Size", ""), rows)


def origin_of(request: gr.Request) -> str:
    """The address under which the browser reaches the studio; a visitor's proxy says whether it is https."""
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", "http").split(",")[0].strip()
    return f"{scheme if scheme in ('http', 'https') else 'http'}://{headers.get('host', '127.0.0.1:7860')}"

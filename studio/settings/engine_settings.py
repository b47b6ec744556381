"""Settings of the engine: what each is and why, and others, with which it is started again. The owner's only."""

from __future__ import annotations

from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.serving.settings import KINDS, SETTINGS, flag
from studio.auth.identity import Role, user_of
from studio.context import Studio
from studio.ui.events import told
from studio.ui.fragments import render_table

# What the engine tells about by itself in /health, where that is called otherwise.
TOLD_AS = {"max_length": "context"}
BY_ITSELF = "as it finds best"
LATER = '<div class="empty">What is in force shows here.</div>'
STARTS = (
    "The engine starts again with these settings. Answers under way have 15 seconds to end; conversations and adapters "
    "stay, and questions wait until it is there."
)


def build(studio: Studio, tab: gr.Tab) -> None:
    gr.HTML("<h2>The engine</h2>")
    in_force = gr.HTML(LATER, elem_id="engine-in-force")
    with gr.Accordion("Change them", open=False, elem_id="engine-settings"):
        with gr.Column(elem_classes="settings"):
            fields = {name: field_for(studio, name) for name in SETTINGS}
        apply_button = gr.Button("Start the engine with these", elem_id="apply-engine-settings")

    def opened(request: gr.Request) -> list[Any]:
        if user_of(request).role is not Role.OWNER:
            return [gr.skip()] * (1 + len(fields))
        return [in_force_table(studio), *(shown(name, getattr(studio.engine.settings, name)) for name in fields)]

    def apply(*values: Any) -> str:
        engine = studio.engine
        given = {name: read(name, value) for name, value in zip(fields, values, strict=True)}
        wanted = {name: value for name, value in given.items() if value != SETTINGS[name].default}
        decided = {name: value for name, value in engine.saved.items() if name in engine.command_line}
        if engine.apply_settings(
            {name: value for name, value in wanted.items() if name not in engine.command_line} | decided
        ):
            gr.Info(STARTS)
        else:
            gr.Info("Nothing is different, so the engine goes on as it is.")
        return in_force_table(studio)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    tab.select(told(opened), None, [in_force, *fields.values()], **private)
    apply_button.click(told(apply), list(fields.values()), in_force, **private)


def field_for(studio: Studio, name: str) -> Any:
    """A field, filled when the tab is opened; not to be changed where the command line decides."""
    engine, about = studio.engine, SETTINGS[name].metadata
    fixed = name in engine.command_line or engine.external_url is not None
    value = shown(name, SETTINGS[name].default)
    settings: dict[str, Any] = {
        "label": name,
        "info": about["help"] + (f" Decided at the start, by {flag(name)}." if name in engine.command_line else ""),
        "interactive": not fixed,
        "elem_id": f"engine-{name.replace('_', '-')}",
        "min_width": 160,
    }
    if KINDS[name] is bool:
        return gr.Checkbox(value, **settings)
    if KINDS[name] is int:
        return gr.Number(value, precision=0, **settings)
    return gr.Dropdown([(BY_ITSELF, ""), *about["choices"]], value=value, **settings)


def shown(name: str, value: Any) -> Any:
    """A setting as its field shows it."""
    return "" if value is None and KINDS[name] is str else value


def read(name: str, value: Any) -> Any:
    """A field's value as the settings have it; what is left empty has its default. Raises UserError."""
    if value in (None, ""):
        return SETTINGS[name].default
    if KINDS[name] is int:
        if value != int(value):
            raise UserError(f"{name} is {value}.", "Give a whole number.")
        return int(value)
    return value


def in_force_table(studio: Studio) -> str:
    """Each setting as the engine has it now, and why."""
    engine = studio.engine
    if engine.external_url is not None:
        return '<div class="empty">Another server is the engine (--engine-url); it is set where it is started.</div>'
    choices = studio.client.choices()
    rows = []
    for name in SETTINGS:
        value = getattr(engine.settings, name)
        told_by_engine = choices.get(TOLD_AS.get(name, name))
        if told_by_engine is not None:
            shown, why = told_by_engine["value"], told_by_engine["reason"]
        else:
            shown = BY_ITSELF if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            why = "the default"
        if name in engine.command_line:
            why = f"decided at the start, by {flag(name)}"
        elif name in engine.saved:
            why = f"{why}, set here" if told_by_engine is not None else "set here"
        rows.append((name, shown, why))
    return render_table(("Setting", "Now", "Why"), rows)

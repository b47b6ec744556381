"""Settings of the engine: what each is and why, and others, with which it is started again. The owner's only."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from adapters.common.errors import UserError
from core.serving.settings import KINDS, SETTINGS, flag
from studio.auth.identity import Role, user_of
from studio.auth.permissions import requires
from studio.context import Studio
from studio.html.fragments import render_table
from studio.html.templating import render
from studio.ui.events import bind

# What the engine tells about by itself in /health, where that is called otherwise.
NAMES_IN_HEALTH = {"max_length": "context"}
AUTOMATIC = "as it finds best"
RESTART = (
    "The engine starts again with these settings. Answers under way have 15 seconds to end; conversations and adapters "
    "stay, and questions wait until it is there."
)


def build(studio: Studio, tab: gr.Tab) -> None:
    gr.HTML("<h2>The engine</h2>")
    in_force = gr.HTML(render("shared/empty.html", text="What is in force shows here."), elem_id="engine-in-force")
    with gr.Accordion("Change them", open=False, elem_id="engine-settings"):
        with gr.Column(elem_classes="settings"):
            fields = [build_field(studio, name) for name in SETTINGS]
        apply = gr.Button("Start the engine with these", elem_id="apply-engine-settings")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    tab.select(bind(show_settings, studio), None, [in_force, *fields], **private)
    apply.click(bind(apply_settings, studio), fields, in_force, **private)


@requires(Role.VISITOR)  # it shows something to the owner alone
def show_settings(studio: Studio, request: gr.Request) -> list[Any]:
    """What is in force, and the fields filled with it."""
    if user_of(request).role is not Role.OWNER:
        return [gr.skip()] * (1 + len(SETTINGS))
    return [in_force_table(studio), *(getattr(studio.engine.settings, name) for name in SETTINGS)]


@requires(Role.OWNER)
def apply_settings(studio: Studio, *values: Any) -> Markup:
    """Save what the fields hold and start the engine again where something is different. Raises UserError."""
    engine = studio.engine
    settings = {name: from_field(name, value) for name, value in zip(SETTINGS, values, strict=True)}
    changed = {name: value for name, value in settings.items() if value != SETTINGS[name].default}
    chosen = {name: value for name, value in changed.items() if name not in engine.command_line}
    decided_at_start = {name: value for name, value in engine.saved.items() if name in engine.command_line}
    if engine.apply_settings(chosen | decided_at_start):
        gr.Info(RESTART)
    else:
        gr.Info("Nothing is different, so the engine goes on as it is.")
    return in_force_table(studio)


def build_field(studio: Studio, name: str) -> Any:
    """A field, filled when the tab is opened; not to be changed where the command line decides."""
    engine, about = studio.engine, SETTINGS[name].metadata
    is_fixed = name in engine.command_line or engine.external_url is not None
    value = SETTINGS[name].default
    options: dict[str, Any] = {
        "label": name,
        "info": about["help"] + (f" Decided at the start, by {flag(name)}." if name in engine.command_line else ""),
        "interactive": not is_fixed,
        "elem_id": f"engine-{name.replace('_', '-')}",
        "min_width": 160,
    }
    if KINDS[name] is bool:
        return gr.Checkbox(value, **options)
    if KINDS[name] is int:
        return gr.Number(value, precision=0, **options)
    return gr.Dropdown(list(about["choices"]), value=value, **options)


def from_field(name: str, value: Any) -> Any:
    """A field's value as the settings have it; what is left empty has its default. Raises UserError."""
    if value in (None, ""):
        return SETTINGS[name].default
    if KINDS[name] is int:
        if value != int(value):
            raise UserError(f"{name} is {value}.", "Give a whole number.")
        return int(value)
    return value


def in_force_table(studio: Studio) -> Markup:
    """Each setting as the engine has it now, and why."""
    engine = studio.engine
    if engine.external_url is not None:
        text = "Another server is the engine (--engine-url); it is set where it is started."
        return render("shared/empty.html", text=text)
    choices = studio.client.choices()
    rows = []
    for name in SETTINGS:
        value = getattr(engine.settings, name)
        choice = choices.get(NAMES_IN_HEALTH.get(name, name))
        if choice is not None:
            text, why = choice["value"], choice["reason"]
        else:
            text = AUTOMATIC if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            why = "the default"
        if name in engine.command_line:
            why = f"decided at the start, by {flag(name)}"
        elif name in engine.saved:
            why = f"{why}, set here" if choice is not None else "set here"
        rows.append((name, text, why))
    return render_table(("Setting", "Now", "Why"), rows)

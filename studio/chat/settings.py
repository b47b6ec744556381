"""System prompt and sampling of a chat, remembered in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.ui.events import bind_silently

NAMES = ("system", "temperature", "top_p", "max_tokens", "seed")
NEW_SEED = -1  # Gradio makes a 0 of a number that is not given
# Gradio encrypts what it keeps in the browser. Nothing here is secret, and the key must outlive a restart.
BROWSER_KEY = "guanaco-studio"
REMEMBER = "(...values) => [Object.fromEntries(['system', 'temperature', 'top_p', 'max_tokens', 'seed']" + (
    ".map((name, i) => [name, values[i]]))]"
)


@dataclass(frozen=True)
class ChatSettings:
    system: gr.Textbox
    temperature: gr.Slider
    top_p: gr.Slider
    max_tokens: gr.Slider
    seed: gr.Number

    @property
    def all(self) -> list[Any]:
        """In the order of NAMES."""
        return [self.system, self.temperature, self.top_p, self.max_tokens, self.seed]


def build(page: gr.Blocks, temperature: float) -> ChatSettings:
    """temperature: of a new visitor."""
    with gr.Accordion("System prompt and sampling", open=False, elem_id="chat-settings"):
        system = gr.Textbox(
            label="System prompt", lines=2, placeholder="Optional: who should answer, and how?", elem_id="system-prompt"
        )
        with gr.Row():
            settings = ChatSettings(
                system,
                gr.Slider(0, 2, temperature, step=0.05, label="temperature", info="0 is greedy", elem_id="temperature"),
                gr.Slider(0.05, 1, 0.95, step=0.05, label="top_p"),
                gr.Slider(16, 2048, 256, step=16, label="max_tokens", elem_id="max-tokens"),
                gr.Number(NEW_SEED, label="seed", info="-1: a new one each time", precision=0, minimum=NEW_SEED),
            )
    stored = gr.BrowserState(None, storage_key="guanaco-chat-settings", secret=BROWSER_KEY)
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    page.load(bind_silently(restore_settings), stored, settings.all, **quiet)
    changes = [field.change for field in settings.all]
    gr.on(changes, None, settings.all, stored, js=REMEMBER, api_visibility="private")
    return settings


@requires(Role.VISITOR)
def restore_settings(stored: Any) -> list[Any]:
    """Remembered settings for the page. They come from a browser: what is out of bounds changes nothing."""
    settings = stored if isinstance(stored, dict) else {}
    bounds = {"temperature": (0, 2), "top_p": (0.05, 1), "max_tokens": (16, 2048)}
    updates: list[Any] = [settings["system"] if isinstance(settings.get("system"), str) else gr.skip()]
    for name, (low, high) in bounds.items():
        value = settings.get(name)
        updates.append(value if isinstance(value, int | float) and low <= value <= high else gr.skip())
    seed = settings.get("seed")
    return [*updates, seed if isinstance(seed, int) and seed >= NEW_SEED else gr.skip()]

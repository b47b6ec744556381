"""System prompt and sampling of a chat, remembered in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

NAMES = ("system", "temperature", "top_p", "max_tokens", "seed")
NEW_SEED = -1  # Gradio makes a 0 of a number that is not given
# Gradio encrypts what it keeps in the browser. Nothing here is secret, and the key must outlive a restart.
KEY = "guanaco-studio"
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
    """`temperature` is where a new visitor begins."""
    with gr.Accordion("System prompt and sampling", open=False, elem_id="chat-settings"):
        system = gr.Textbox(
            label="System prompt", lines=2, placeholder="Optional: who should answer, and how?", elem_id="system-prompt"
        )
        with gr.Row():
            chosen = ChatSettings(
                system,
                gr.Slider(0, 2, temperature, step=0.05, label="temperature", info="0 is greedy", elem_id="temperature"),
                gr.Slider(0.05, 1, 0.95, step=0.05, label="top_p"),
                gr.Slider(16, 2048, 256, step=16, label="max_tokens", elem_id="max-tokens"),
                gr.Number(NEW_SEED, label="seed", info="-1: a new one each time", precision=0, minimum=NEW_SEED),
            )
    remembered = gr.BrowserState(None, storage_key="guanaco-chat-settings", secret=KEY)

    def recall(kept: Any) -> list[Any]:
        return applied(kept)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    page.load(recall, remembered, chosen.all, **quiet)
    gr.on([each.change for each in chosen.all], None, chosen.all, remembered, js=REMEMBER, api_visibility="private")
    return chosen


def applied(kept: Any) -> list[Any]:
    """Remembered settings for the page. They come from a browser: what is out of bounds is left as it stands there."""
    given = kept if isinstance(kept, dict) else {}
    bounds = {"temperature": (0, 2), "top_p": (0.05, 1), "max_tokens": (16, 2048)}
    shown: list[Any] = [given["system"] if isinstance(given.get("system"), str) else gr.skip()]
    for name, (low, high) in bounds.items():
        value = given.get(name)
        shown.append(value if isinstance(value, int | float) and low <= value <= high else gr.skip())
    seed = given.get("seed")
    return [*shown, seed if isinstance(seed, int) and seed >= NEW_SEED else gr.skip()]

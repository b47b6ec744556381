"""A text as a file for the browser's own download: nothing is left on the server's disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

SAVE = """(file) => {
    const [name, text] = JSON.parse(file || '["", ""]');
    if (!name) return [];
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain;charset=utf-8'}));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    return [];
}"""


class Downloads:
    """Buttons whose handlers, bound to their context, return (file name, text) as JSON."""

    def __init__(self) -> None:
        self.file = gr.Textbox(visible="hidden", label="File to save")

    def on(self, button: gr.Button, handler: Callable[..., str], inputs: list[Any] | None = None) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        making = button.click(handler, inputs, self.file, **quiet)
        making.success(None, self.file, None, js=SAVE, api_visibility="private")

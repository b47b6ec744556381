"""TensorBoard, embedded: the same port, so the same access rule."""

from __future__ import annotations

import gradio as gr


def build() -> None:
    gr.HTML(
        '<p>All runs, live. <a href="/tensorboard/" target="_blank" rel="noopener">Open in a tab of its own</a></p>'
        '<iframe class="board" src="/tensorboard/#scalars" title="TensorBoard"></iframe>',
        elem_id="tensorboard",
    )

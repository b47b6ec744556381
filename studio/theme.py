"""One visual language: Gradio's base theme in our colours, system fonts (nothing is fetched), and one style sheet."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).parent / "assets"
CSS = (ASSETS / "style.css").read_text(encoding="utf-8")
HEAD = f"<script>{(ASSETS / 'keys.js').read_text(encoding='utf-8')}</script>"


def theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=gr.themes.colors.emerald,
        secondary_hue=gr.themes.colors.emerald,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    )

"""One visual language: Gradio's base theme in our colours, system fonts (nothing is fetched), and one style sheet."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).parent / "assets"
CSS = "".join(path.read_text(encoding="utf-8") for path in sorted(ASSETS.glob("*.css")))
HEAD = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in sorted(ASSETS.glob("*.js")))


def theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=gr.themes.colors.emerald,
        secondary_hue=gr.themes.colors.emerald,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    ).set(
        # White on emerald 700 has a contrast of 5.5:1; Gradio's default (500) has 2.5:1.
        color_accent="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        button_large_padding="*spacing_md *spacing_lg",
        button_large_text_size="*text_md",
        button_cancel_text_color="#b3261e",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_400",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
        input_background_fill_dark="*neutral_900",
    )

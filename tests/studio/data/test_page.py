"""The Data page as it is laid out."""

from __future__ import annotations

import gradio as gr
import pytest

from studio.context import Studio
from studio.page import build_page

pytestmark = pytest.mark.slow


def test_building_the_page_leaves_no_stray_component(quiet_studio: Studio) -> None:
    labels = [
        component.label
        for component in build_page(quiet_studio).blocks.values()
        if isinstance(component, gr.Dropdown | gr.Slider)
    ]
    assert None not in labels

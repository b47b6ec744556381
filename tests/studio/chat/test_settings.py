"""What a browser remembers of the settings is restored within their bounds."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from studio.chat.settings import restore_settings


def test_remembered_settings_come_back() -> None:
    stored = {"system": "Be brief.", "temperature": 0.5, "top_p": 0.9, "max_tokens": 64, "seed": 7}
    assert restore_settings(stored) == ["Be brief.", 0.5, 0.9, 64, 7]


@pytest.mark.parametrize(
    "stored",
    [None, "text", [1], {}, {"system": 1, "temperature": 3, "top_p": "0.9", "max_tokens": -1, "seed": -2}],
)
def test_what_is_out_of_bounds_changes_nothing(stored: Any) -> None:
    assert restore_settings(stored) == [gr.skip()] * 5

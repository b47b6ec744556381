"""What is known of each adapter is on its card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from studio.adapters_page.overview import render_adapters
from studio.adapters_page.page import build
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from tests.adapters.folders import weights, write_adapter
from tests.studio.adapters_page.conftest import BOB, LINEARS


def test_what_cannot_be_served_says_why_on_its_card(studio: Studio, tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    studio.store.import_folder(other, "llama")
    (studio.store.root / "half").mkdir()
    studio.engine._set_status("ready", "", base="guanaco-builtin")
    shown = render_adapters(studio)
    assert "trained on meta-llama/Llama-2-7b-chat-hf" in shown
    assert "half" in shown
    assert shown.count("Cannot be used") == 2
    llamas = shown[shown.index('data-adapter="llama"') :].split("</article>")[0]
    assert "Compare" not in llamas, "no control that cannot work"
    assert "half" not in render_adapters(studio, BOB), "what is broken is the owner's"


def test_an_adapter_that_lacks_what_the_engine_serves_is_not_made_fit_by_a_word(studio: Studio, tmp_path: Path) -> None:
    dora = write_adapter(tmp_path / "dora", tensors=weights(LINEARS), base_model_name_or_path="ada/copy", use_dora=True)
    small = write_adapter(
        tmp_path / "small",
        tensors=weights({"model.layers.0.self_attn.q_proj": (128, 64)}),
        base_model_name_or_path="ada/copy",
    )
    for folder in (dora, small):
        studio.store.import_folder(folder, folder.name)
    assert "DoRA" in render_adapters(studio)
    assert "trained on ada/copy" in render_adapters(studio)
    assert 'data-action="same"' not in render_adapters(studio), "no control that cannot work"


def test_what_failed_stays_on_the_card_until_it_works(studio: Studio) -> None:
    with gr.Blocks():
        page = build(studio)
    with pytest.raises(Exception, match="is not there"), page.failures.recording("mine", "Loading"):
        studio.client.load("mine", "x")
    assert "Loading failed. The engine is not there yet" in render_adapters(studio, LOCAL_OWNER, page)
    assert "Loading failed" not in render_adapters(studio, replace(BOB, only_published=False), page)
    with page.failures.recording("mine", "Loading"):
        pass
    assert "The engine is not there yet" not in render_adapters(studio, LOCAL_OWNER, page)

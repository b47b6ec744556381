"""What the buttons on the cards do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from adapters.bases import with_same_base
from studio.adapters_page.overview import render_adapters
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from tests.adapters.folders import weights, write_adapter
from tests.studio.adapters_page.conftest import BOB, LINEARS, VISITOR, by_label, clicked
from tests.studio.conftest import handler, request_of


def test_the_owner_may_say_that_a_base_is_the_same_and_take_it_back(
    studio: Studio, page: gr.Blocks, tmp_path: Path
) -> None:
    copy = write_adapter(tmp_path / "copy", tensors=weights(LINEARS), base_model_name_or_path="ada/copy")
    studio.store.import_folder(copy, "copied")
    act = handler(page, "adapters_page.card_actions.change_adapter")
    assert 'data-action="same" data-value="copied"' in render_adapters(studio)
    assert "Say that ada/copy is a copy of guanaco-builtin?" in render_adapters(studio)
    assert 'data-action="same"' not in render_adapters(studio, replace(BOB, only_published=False)), "the owner's to say"
    with pytest.raises(gr.Error, match="The engine is not there, which compares"):
        act(clicked("same", "copied"))
    assert studio.store.get("copied").same_base is None
    studio.store.update(with_same_base(studio.store.get("copied"), "guanaco-builtin"))
    shown = render_adapters(studio)
    assert "Cannot be used" not in shown
    assert "<dt>A copy of</dt><dd>guanaco-builtin, said on 20" in shown
    act(clicked("not-same", "copied"))
    assert studio.store.get("copied").same_base is None
    assert "trained on ada/copy" in render_adapters(studio)


def test_the_buttons_lead_to_chat_compare_and_train(studio: Studio, page: gr.Blocks) -> None:
    look, act = (
        handler(page, "adapters_page.card_actions.open_adapter"),
        handler(page, "adapters_page.card_actions.change_adapter"),
    )
    assert "mine" in look(request_of(LOCAL_OWNER), clicked("chat", "mine")).values()
    compared = list(look(request_of(LOCAL_OWNER), clicked("compare", "mine")).values())
    assert {"base", "mine"} <= {value for value in compared if isinstance(value, str)}
    assert 2 in [value for value in compared if isinstance(value, int)]
    with pytest.raises(gr.Error, match="not published"):
        look(request_of(VISITOR), clicked("chat", "mine"))
    trained = replace(studio.store.get("mine"), recipe={"dataset_name": "pirate", "lora_r": 4})
    studio.store.update(trained)
    filled = by_label(page, act(clicked("continue", "mine")))
    assert filled["init_adapter"] == "mine"
    assert filled["Dataset"] == "pirate"
    studio.store.update(replace(trained, recipe={"a setting of another studio": 1}))
    assert by_label(page, act(clicked("continue", "mine")))["init_adapter"] == "mine"
    with pytest.raises(gr.Error, match="nothing called"):
        act(clicked("explode", "mine"))
    act(clicked("delete", "mine"))
    assert not studio.store.list()

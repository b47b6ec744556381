"""The page that does less than Gradio's own draws the same."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from starlette.routing import Mount

from studio.app import build_app
from studio.context import Studio
from studio.page import build_page
from studio.ui.gradio_patches import PartialUpdateBlocks

UPDATES: dict[str, Any] = {
    "all": lambda text, box, held: {text: "new", box: gr.Column(visible=False), held: [1]},
    "some": lambda text, box, held: {text: "new"},
    "an update without a value": lambda text, box, held: {text: gr.Textbox(label="other")},
    "a state alone": lambda text, box, held: {held: {"__type__": "not ours"}},
    "none": lambda text, box, held: gr.skip(),
    "as a list": lambda text, box, held: ["new", gr.skip(), gr.skip()],
    "a list that leaves all": lambda text, box, held: [gr.skip(), gr.skip(), gr.skip()],
}


def drawn(kind: type[gr.Blocks], name: str) -> tuple[list[Any], Any]:
    with kind() as page:
        text, held = gr.Textbox("old"), gr.State("before")
        with gr.Column() as box:
            button = gr.Button()
        button.click(lambda: None, None, [text, box, held])
    state = SessionState(page)
    result = asyncio.run(page.postprocess_data(page.fns[0], UPDATES[name](text, box, held), state))
    return result, state[held._id]


@pytest.mark.parametrize("name", UPDATES)
def test_the_same_is_drawn_as_by_gradio(name: str) -> None:
    assert drawn(PartialUpdateBlocks, name) == drawn(gr.Blocks, name)


def test_too_few_values_are_still_told() -> None:
    with PartialUpdateBlocks() as page:
        texts = [gr.Textbox(), gr.Textbox(), gr.Textbox()]
        gr.Button().click(lambda: None, None, texts)
    with pytest.raises(ValueError, match="needed: 3, returned: 1"):
        asyncio.run(page.postprocess_data(page.fns[0], ["one"], SessionState(page)))


def test_hidden_progress_is_shown_on_nothing(quiet_studio: Studio) -> None:
    page = build_page(quiet_studio)
    hidden = [event for event in page.fns.values() if event.show_progress == "hidden"]
    assert len(hidden) > 50
    assert sum(event.show_progress_on == [] for event in hidden) > len(hidden) - 30, "but in the chat's columns"
    assert None not in [event.show_progress_on for event in hidden]


def test_one_app_is_made_and_it_is_the_one_that_serves(quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    create = gr.routes.App.create_app

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(create(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(gr.routes.App, "create_app", counted)
    app = build_app(quiet_studio)
    (mounted,) = [route.app for route in app.routes if isinstance(route, Mount) and route.app in made]
    assert made == [mounted] == [made[0].get_blocks().app]


def test_gradio_looks_for_work_as_often_as_it_is_told() -> None:
    """Should Gradio rename these, setting them would do nothing, and nobody would notice."""
    queue = gr.Blocks()._queue
    assert 0 < queue.sleep_when_free < 0.02
    assert 0 < queue.progress_update_sleep_when_free < 0.2

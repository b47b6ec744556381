"""What leads from one tab to another, and what keeps the page current."""

from __future__ import annotations

import gradio as gr
import pytest

from core.training.launcher import request_stop
from core.training.state import RunState
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.context import Studio
from studio.page import build_page
from studio.page_handlers import as_update, open_address
from studio.runs.run_cache import RunCache
from tests.studio.conftest import handler, request_of
from tests.studio.runs.making import make_run


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio)


def test_only_an_address_that_names_a_tab_turns_to_it(quiet_studio: Studio) -> None:
    runs, owner = RunCache(quiet_studio.home), request_of(LOCAL_OWNER)
    turned, run = open_address(runs, owner, "?page=runs&run=abc", "")
    assert (turned.selected, run) == ("runs", "abc")
    for query in ("", "?page=nonsense", None):
        assert open_address(runs, owner, query, "kept") == [gr.skip(), "kept"]


def test_a_new_run_begins_from_a_runs_adapter(quiet_studio: Studio, page: gr.Blocks) -> None:
    run = make_run(quiet_studio, "pirates", learning_rate=3e-3, max_steps=7)
    request_stop(run)
    run.move(RunState.QUEUED)
    run.move(RunState.PREPARING, adapter="pirates")
    run.move(RunState.FAILED)
    filled = handler(page, "page_handlers.start_from_adapter_of_run")(run.id)
    given = [getattr(component, "value", component) for component in filled]
    assert "pirates" in given and 3e-3 in given and 7 in given


def test_only_what_has_changed_is_sent_again(empty_studio: Studio, page: gr.Blocks) -> None:
    owner = request_of(LOCAL_OWNER)
    first = handler(page, "page_handlers.refresh_all")(owner, "")
    (state,) = [component for component in first if isinstance(component, gr.State)]
    assert len(first) > 10
    refresh = handler(page, "page_handlers.refresh")
    assert set(refresh(owner, first[state], "")) == {state}, "nothing has changed"
    make_run(empty_studio, "new-one")
    again = refresh(owner, first[state], "")
    assert 1 < len(again) < len(first)
    assert any("new-one" in str(value) for value in again.values())


def test_parts_of_the_chat_show_to_those_who_may_use_them(page: gr.Blocks) -> None:
    show = handler(page, "page_handlers.show_allowed")
    visitor = show(request_of(User(Role.VISITOR, "eve", "eve")))
    owner = show(request_of(LOCAL_OWNER))
    assert visitor[0].choices == [] and owner[0].choices
    assert {update.visible for update in visitor[2:]} == {False}
    assert {update.visible for update in owner[2:]} == {True}


def test_a_value_updates_what_its_component_has() -> None:
    with gr.Blocks():
        text, button, models = gr.HTML(), gr.Button(), gr.Dropdown()
    assert as_update(text, "<p>") == "<p>"
    assert as_update(button, False).visible is False
    assert as_update(models, ["base"]).choices == [("base", "base")]

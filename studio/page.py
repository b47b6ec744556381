"""The page: a status bar over the tabs. Its layout, and which handler each event of the page as a whole has."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio import page_handlers as handlers
from studio.adapters_page import card_actions
from studio.adapters_page import page as adapters
from studio.chat import page as chat
from studio.context import Studio
from studio.data import page as data
from studio.page_handlers import TABS, CurrentParts
from studio.runs import handlers as run_handlers
from studio.runs import page as runs
from studio.runs import tensorboard_tab
from studio.runs.run_cache import RunCache
from studio.settings import access
from studio.settings import page as settings
from studio.status_bar import render_status_bar_without_runs
from studio.train import handlers as train_handlers
from studio.train import page as train
from studio.ui.events import bind, bind_silently
from studio.ui.gradio_patches import PartialUpdateBlocks
from studio.ui.html_events import clickable_html
from studio.ui.restricted import is_owner, restricted_to

DATA_RESTRICTED = "Preparing datasets is for the owner of this studio."
TRAIN_RESTRICTED = "Training is for the owner of this studio."
BOARD_RESTRICTED = "The runs of this studio and their curves are shown to its owner."
ADDRESS = "(query, shown) => [location.search, shown]"
ADDRESS_OR_CHAT = "(query, shown) => [location.search || '?page=chat', shown]"


def build_page(studio: Studio, sign_in: bool = False) -> gr.Blocks:
    """`sign_in`: people sign in here with Hugging Face."""
    with PartialUpdateBlocks(title="Guanaco Studio", analytics_enabled=False, fill_width=True) as page:
        status = clickable_html(render_status_bar_without_runs(studio.engine.status), "status-bar")
        greeting = gr.HTML("", elem_id="greeting")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Chat", id="chat") as chat_tab:
                chat_page = chat.build(studio)
            with gr.Tab("Data", id="data") as data_tab, restricted_to(is_owner, DATA_RESTRICTED, "data-closed"):
                data_page = data.build(studio)
            with gr.Tab("Train", id="train") as train_tab:
                train_column = gr.Column()
            with gr.Tab("Runs", id="runs") as runs_tab:
                runs_page = runs.build(studio)
            with (
                gr.Tab("TensorBoard", id="board") as board_tab,
                restricted_to(lambda user: user.sees_runs, BOARD_RESTRICTED, "board-closed"),
            ):
                tensorboard_tab.build()
            with gr.Tab("Adapters", id="adapters") as adapters_tab:
                adapters_page = adapters.build(studio)
            with gr.Tab("Settings", id="settings") as settings_tab:
                settings.build_own(studio)
                access.build(studio, sign_in, greeting)
                settings.build_snippets()
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        # First of all that opening a tab does: Gradio sends one after the other, and examining the machine takes long.
        all_tabs = (chat_tab, data_tab, train_tab, runs_tab, board_tab, adapters_tab, settings_tab)
        for name, tab in zip(TABS, all_tabs, strict=True):
            tab.select(None, None, None, js=f"() => studio.went('{name}')", **private)
        with settings_tab:
            settings.build_machine(studio, settings_tab)
        with train_column, restricted_to(is_owner, TRAIN_RESTRICTED, "train-closed"):
            train_page, run_started = train.build(studio, runs_page.run_id, tabs)
        tick_button = gr.Button("Refresh", visible="hidden", elem_id="tick")
        turn_button = gr.Button("Turn", visible="hidden", elem_id="turn")
        address = gr.Textbox("", label="Address", visible="hidden")
        place = gr.Textbox("", label="Place", visible="hidden")

        run_id = runs_page.run_id
        targets: dict[str, list[Any]] = {
            "status bar": [status],
            "models": chat_page.models,
            "adapter cards": [adapters_page.cards],
            "adapters": [adapters_page.chosen, train_page.init_adapter],
            **{f"runs {number}": [component] for number, component in enumerate(runs_page.outputs)},
        }
        parts = CurrentParts(RunCache(studio.home), adapters_page, gr.State({}), targets)
        outputs = [parts.sent, *(component for components in targets.values() for component in components)]
        inputs = [parts.sent, *runs_page.inputs]
        refresh = bind_silently(handlers.refresh, studio, parts)
        tick_button.click(refresh, inputs, outputs, **private)
        card_action = card_actions.connect(studio, adapters_page, chat_page, train_page, tabs, place)
        for change in (
            *runs_page.changes,
            run_started,
            *adapters_page.changes,
            card_action,
        ):
            change.success(refresh, inputs, outputs, **private)
        for component in runs_page.inputs[2:]:
            component.change(refresh, inputs, outputs, trigger_mode="always_last", **private)
        run_id.change(refresh, inputs, outputs, **private)
        run_id.change(None, run_id, None, js="(run) => studio.showed(run)", **private)
        stop = bind(run_handlers.click_in_table, studio)
        status.click(stop, None, None, **private).success(refresh, inputs, outputs, **private)

        use_dataset = bind_silently(handlers.train_on_dataset, studio)
        data_page.use.click(use_dataset, data_page.recipe_values, [*train_page.dataset_inputs, tabs], **private)
        clone = bind(handlers.clone_run, studio, train_page.recipe_updates)
        runs_page.clone.click(clone, run_id, [*train_page.recipe_outputs, tabs], **private)
        from_adapter = bind(handlers.start_from_adapter_of_run, studio, train_page.recipe_updates)
        runs_page.from_adapter.click(from_adapter, run_id, [*train_page.recipe_outputs, tabs], **private)

        draw_cards = bind_silently(train_handlers.draw_cards, studio)
        for shows in (page.load, train_tab.select):  # datasets may have come since the cards were drawn
            shows(draw_cards, train_page.dataset, train_page.dataset_cards, **private)
        datasets = [train_page.dataset, data_page.known]
        show_allowed = bind_silently(handlers.show_allowed, studio, chat_page)
        page.load(show_allowed, None, [*datasets, *chat_page.for_owner, *chat_page.for_users], **private)
        chat_page.example_added.success(bind_silently(handlers.list_datasets, studio), None, datasets, **private)

        open_address = bind_silently(handlers.open_address, parts.runs)
        landing = page.load(open_address, [address, run_id], [tabs, run_id], js=ADDRESS, **private)
        landing.then(None, None, None, js="() => studio.land()", **private)
        # Not before: drawn for no run, it could arrive after what was drawn for the run that the address names.
        landing.then(bind_silently(handlers.refresh_all, studio, parts), runs_page.inputs, outputs, **private)
        # Who goes back quickly goes back twice.
        turning: dict[str, Any] = {**private, "trigger_mode": "always_last"}
        turn_button.click(open_address, [address, run_id], [tabs, run_id], js=ADDRESS_OR_CHAT, **turning)
        page.reduce_event_overhead()
    return page

"""The page: a status line over the tabs, what keeps them current, and how one gets from one to another."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from core.recipes.recipe import Recipe
from core.training.run import find_run
from studio.adapters_page import card_actions, hub
from studio.adapters_page import page as adapters
from studio.answers import checkpoints as learning
from studio.auth.identity import LOCAL_OWNER, Role, User, user_of
from studio.auth.published import usable_adapters
from studio.chat import page as chat
from studio.context import Studio
from studio.data import offered_datasets
from studio.data import page as data
from studio.engine.client import BASE
from studio.runs import page as runs
from studio.runs import tensorboard_tab
from studio.runs.run_cache import RunCache, active_run, last_ended_run
from studio.runs.runs_view import RunsTableState
from studio.settings import access
from studio.settings import page as machine
from studio.status_bar import render_status_bar, render_status_bar_without_runs
from studio.train import page as train
from studio.ui.events import told
from studio.ui.gradio_patches import PartialUpdateBlocks
from studio.ui.html_events import clickable_html
from studio.ui.restricted import is_owner, restricted_to

PAGES = ("chat", "data", "train", "runs", "board", "adapters", "settings")  # as addresses name them: /?page=runs
LOOK = RunsTableState()


def build_page(studio: Studio, sign_in: bool = False) -> gr.Blocks:
    """`sign_in`: people sign in here with Hugging Face."""
    overview = RunCache(studio.home)
    with PartialUpdateBlocks(title="Guanaco Studio", analytics_enabled=False, fill_width=True) as page:
        status = clickable_html(render_status_bar_without_runs(studio.engine.status), "strip")
        greeting = gr.HTML("", elem_id="greeting")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Chat", id="chat") as chat_tab:
                chatting = chat.build(studio)
            data_words = "Preparing datasets is for the owner of this studio."
            with gr.Tab("Data", id="data") as data_tab, restricted_to(is_owner, data_words, "data-closed"):
                choosing = data.build(studio)
            with gr.Tab("Train", id="train") as train_tab:
                teaching = gr.Column()
            with gr.Tab("Runs", id="runs") as runs_tab:
                running = runs.build(studio)
            board_words = "The runs of this studio and their curves are shown to its owner."
            with (
                gr.Tab("TensorBoard", id="board") as board_tab,
                restricted_to(lambda person: person.sees_runs, board_words, "board-closed"),
            ):
                tensorboard_tab.build()
            with gr.Tab("Adapters", id="adapters") as adapters_tab:
                keeping = adapters.build(studio)
                exchanged = hub.build(studio, keeping)
            with gr.Tab("Settings", id="settings") as settings_tab:
                machine.build(studio, settings_tab)
                access.build(studio, sign_in, greeting)
        with teaching, restricted_to(is_owner, "Training is for the owner of this studio.", "train-closed"):
            training = train.build(studio, running.shown, tabs)
        tick_button = gr.Button("Refresh", visible="hidden", elem_id="tick")
        turn_button = gr.Button("Turn", visible="hidden", elem_id="turn")
        address = gr.Textbox("", label="Address", visible="hidden")

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}

        def use(name: str | None, *settings: Any) -> list[Any]:
            return [
                gr.Dropdown(choices=offered_datasets.dataset_choices(studio.home), value=name),
                *settings,
                gr.Tabs(selected="train"),
            ]

        choosing.use.click(use, choosing.recipe_values, [*training.taken, tabs], **private)

        # What the tick draws, by the name of what it shows; components of one name show the same.
        seen: gr.State = gr.State({})
        places: dict[str, list[Any]] = {
            "strip": [status],
            "choices": chatting.models,
            "cards": [keeping.cards],
            "names": [keeping.chosen, training.init_adapter],
            **{f"runs-{number}": [each] for number, each in enumerate(running.outputs)},
        }
        outputs = [seen, *(each for group in places.values() for each in group)]

        def tick(
            request: gr.Request,
            before: dict[str, Any],
            shown: str | None,
            look: RunsTableState = LOOK,
            words: str | None = "",
            weight: float | None = 0.6,
        ) -> dict[Any, Any]:
            now = current(studio, overview, user_of(request), shown, look, words, weight, keeping)
            fresh = {name: value for name, value in now.items() if before.get(name) != value}
            return {seen: now} | {each: shown_as(each, fresh[name]) for name in fresh for each in places[name]}

        def first_tick(
            request: gr.Request,
            shown: str | None,
            look: RunsTableState = LOOK,
            words: str | None = "",
            weight: float | None = 0.6,
        ) -> dict[Any, Any]:
            return tick(request, {}, shown, look, words, weight)

        def first_choices(request: gr.Request) -> list[Any]:
            role = user_of(request).role
            owner = role is Role.OWNER
            datasets = dataset_choices() if owner else [gr.Dropdown([])] * 2
            owners = [shown_as(each, owner) for each in chatting.owners]
            return [*datasets, *owners, *[shown_as(each, role >= Role.USER) for each in chatting.users]]

        def dataset_choices() -> list[Any]:
            return [gr.Dropdown(choices=offered_datasets.dataset_choices(studio.home)) for _ in range(2)]

        def turn_to(request: gr.Request, query: str | None, shown: str | None) -> list[Any]:
            """Show the page and the run that an address names."""
            asked = parse_qs((query or "").lstrip("?"))
            wanted, run_id = asked.get("page", [""])[0], asked.get("run", [""])[0]
            if not run_id and not shown and user_of(request).sees_runs:
                run_id = runs.first_shown(overview.runs())
            # Without a page in the address nothing is turned: who was quick has chosen one already.
            return [gr.Tabs(selected=wanted) if wanted in PAGES else gr.skip(), run_id or shown or ""]

        def clone(run_id: str | None) -> list[Any]:
            return [*training.fill(runs.chosen(studio, run_id).recipe), gr.Tabs(selected="train")]

        def from_adapter(run_id: str | None) -> list[Any]:
            run = find_run(studio.home, run_id or "")
            name = run.summary().adapter
            recipe = Recipe.from_dict(run.recipe.to_dict() | {"init_adapter": name, "run_name": None})
            return [*training.fill(recipe), gr.Tabs(selected="train")]

        inputs = [seen, *running.inputs]
        tick_button.click(tick, inputs, outputs, **private)
        place = gr.Textbox("", label="Place", visible="hidden")
        acted_on = card_actions.connect(studio, keeping, chatting, training, tabs, place)
        for each in (*running.changes, training.started, *keeping.changes, *exchanged, acted_on):
            each.success(tick, inputs, outputs, **private)
        for component in running.inputs[2:]:
            component.change(tick, inputs, outputs, trigger_mode="always_last", **private)
        running.shown.change(tick, inputs, outputs, **private)
        running.shown.change(None, running.shown, None, js="(run) => studio.showed(run)", **private)
        running.clone.click(told(clone), running.shown, [*training.filled, tabs], **private)
        running.from_adapter.click(told(from_adapter), running.shown, [*training.filled, tabs], **private)
        status.click(told(running.act), None, None, **private).success(tick, inputs, outputs, **private)

        datasets = [training.dataset, choosing.known]
        for shows in (page.load, train_tab.select):  # datasets may have come since the cards were drawn
            shows(training.mark, training.dataset, training.picks, **private)
        page.load(first_choices, None, [*datasets, *chatting.owners, *chatting.users], **private)
        chatting.kept.success(dataset_choices, None, datasets, **private)
        where = "(query, shown) => [location.search, shown]"
        landing = page.load(turn_to, [address, running.shown], [tabs, running.shown], js=where, **private)
        landing.then(None, None, None, js="() => studio.land()", **private)
        # Not before: drawn for no run, it could arrive after what was drawn for the run that the address names.
        landing.then(first_tick, running.inputs, outputs, **private)
        back = where.replace("location.search", "location.search || '?page=chat'")
        turning: dict[str, Any] = {**private, "trigger_mode": "always_last"}  # who goes back quickly goes back twice
        turn_button.click(turn_to, [address, running.shown], [tabs, running.shown], js=back, **turning)
        all_tabs = (chat_tab, data_tab, train_tab, runs_tab, board_tab, adapters_tab, settings_tab)
        for name, tab in zip(PAGES, all_tabs, strict=True):
            tab.select(None, None, None, js=f"() => studio.went('{name}')", **private)
        page.spare()
    return page


def current(
    studio: Studio,
    overview: RunCache,
    person: User = LOCAL_OWNER,
    shown: str | None = None,
    look: RunsTableState = LOOK,
    words: str | None = "",
    weight: float | None = 0.6,
    keeping: adapters.AdaptersPage | None = None,
) -> dict[str, Any]:
    """Everything that the tick keeps current, as `person` may see it: no unpublished adapters, no runs of others."""
    known = overview.runs() if person.sees_runs else []
    names = usable_adapters(studio, person)
    checkpoints = learning.choices(studio.home) if not person.only_published else []
    queued = len(overview.queue()) if person.sees_runs else 0
    status = studio.engine.status
    cause = status.cause if person.role is Role.OWNER else ""
    drawn = runs.draw(studio, overview, known, person, shown, look, words, weight)
    return {
        "strip": render_status_bar(
            status, active_run(known), queued, overview.answering(), last_ended_run(known), cause=cause
        ),
        "choices": [BASE, *names, *checkpoints],
        "cards": adapters.overview(studio, person, keeping),
        "names": names,
        **{f"runs-{number}": value for number, value in enumerate(drawn)},
    }


def shown_as(component: Any, value: Any) -> Any:
    """A drawn value as an update of the component: HTML is its own, a list is choices, a truth is visibility."""
    if isinstance(component, gr.Dropdown):
        return gr.Dropdown(choices=value)
    return type(component)(visible=value) if isinstance(value, bool) else value

"""Events of the page as a whole: what keeps it current, its addresses, and what leads from one tab to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from core.recipes.recipe import Recipe
from core.training.run import find_run
from studio.adapters_page.overview import render_adapters
from studio.adapters_page.page import AdaptersPage
from studio.answers import checkpoints
from studio.auth.identity import Role, User, user_of
from studio.auth.permissions import requires
from studio.auth.published import usable_adapters
from studio.chat.page import ChatPage
from studio.context import Studio
from studio.data.offered_datasets import dataset_choices
from studio.engine.client import BASE
from studio.runs.handlers import chosen_run
from studio.runs.run_cache import RunCache, active_run, last_ended_run
from studio.runs.table_view import RunsTableState
from studio.runs.view import first_shown_run, render_tab
from studio.status_bar import render_status_bar

TABS = ("chat", "data", "train", "runs", "board", "adapters", "settings")  # as addresses name them: /?page=runs
TABLE_STATE = RunsTableState()


@dataclass(frozen=True)
class CurrentParts:
    """The parts of the page that are kept current.

    runs: all runs, read once for all browsers. sent: what this browser shows, by the names of `targets`. targets: the
    components that show what has that name; all of one name show the same.
    """

    runs: RunCache
    adapters: AdaptersPage
    sent: gr.State
    targets: dict[str, list[Any]]


@requires(Role.VISITOR)
def refresh(
    studio: Studio,
    parts: CurrentParts,
    request: gr.Request,
    sent: dict[str, Any],
    run_id: str | None,
    table_state: RunsTableState = TABLE_STATE,
    filter_text: str | None = "",
    smoothing: float | None = 0.6,
) -> dict[Any, Any]:
    """What has changed since this browser was sent something last."""
    current = render_current(studio, parts, user_of(request), run_id, table_state, filter_text, smoothing)
    changed = {name: value for name, value in current.items() if sent.get(name) != value}
    updates = {component: as_update(component, changed[name]) for name in changed for component in parts.targets[name]}
    return {parts.sent: current} | updates


@requires(Role.VISITOR)
def refresh_all(
    studio: Studio,
    parts: CurrentParts,
    request: gr.Request,
    run_id: str | None,
    table_state: RunsTableState = TABLE_STATE,
    filter_text: str | None = "",
    smoothing: float | None = 0.6,
) -> dict[Any, Any]:
    """Everything, for a page that has just been opened."""
    return refresh(studio, parts, request, {}, run_id, table_state, filter_text, smoothing)


@requires(Role.VISITOR)
def show_allowed(studio: Studio, chat: ChatPage, request: gr.Request) -> list[Any]:
    """The datasets for the owner, and the parts of the chat that are for owners or users."""
    role = user_of(request).role
    is_owner = role is Role.OWNER
    datasets = list_datasets(studio) if is_owner else [gr.Dropdown([])] * 2
    owner_parts = [as_update(component, is_owner) for component in chat.for_owner]
    return [*datasets, *owner_parts, *[as_update(component, role >= Role.USER) for component in chat.for_users]]


@requires(Role.OWNER)
def list_datasets(studio: Studio) -> list[Any]:
    """For the Train tab and the Data tab."""
    return [gr.Dropdown(choices=dataset_choices(studio.home)) for _ in range(2)]


@requires(Role.OWNER)
def train_on_dataset(studio: Studio, name: str | None, *settings: Any) -> list[Any]:
    """The dataset of the Data tab, and how it is read there, into the Train tab."""
    return [gr.Dropdown(choices=dataset_choices(studio.home), value=name), *settings, gr.Tabs(selected="train")]


@requires(Role.VISITOR)
def open_address(runs: RunCache, request: gr.Request, query: str | None, shown_run: str | None) -> list[Any]:
    """Show the tab and the run that an address names."""
    asked = parse_qs((query or "").lstrip("?"))
    tab, run_id = asked.get("page", [""])[0], asked.get("run", [""])[0]
    if not run_id and not shown_run and user_of(request).sees_runs:
        run_id = first_shown_run(runs.runs())
    # Without a tab in the address nothing is turned: who was quick has chosen one already.
    return [gr.Tabs(selected=tab) if tab in TABS else gr.skip(), run_id or shown_run or ""]


@requires(Role.OWNER)
def clone_run(studio: Studio, fill: Callable[[Recipe], list[Any]], run_id: str | None) -> list[Any]:
    """The run's recipe into the fields of the Train tab. fill: a recipe as their values."""
    return [*fill(chosen_run(studio, run_id).recipe), gr.Tabs(selected="train")]


@requires(Role.OWNER)
def start_from_adapter_of_run(studio: Studio, fill: Callable[[Recipe], list[Any]], run_id: str | None) -> list[Any]:
    """The run's recipe, beginning from the adapter that the run made, into the fields of the Train tab."""
    run = find_run(studio.home, run_id or "")
    name = run.summary().adapter
    recipe = Recipe.from_dict(run.recipe.to_dict() | {"init_adapter": name, "run_name": None})
    return [*fill(recipe), gr.Tabs(selected="train")]


def render_current(
    studio: Studio,
    parts: CurrentParts,
    user: User,
    run_id: str | None,
    table_state: RunsTableState,
    filter_text: str | None,
    smoothing: float | None,
) -> dict[str, Any]:
    """Everything that is kept current, as `user` may see it: no unpublished adapters, no runs of others."""
    cache = parts.runs
    runs = cache.runs() if user.sees_runs else []
    adapters, running = usable_adapters(studio, user), active_run(runs)
    tab = render_tab(studio, cache, runs, user, run_id, table_state, filter_text, smoothing)
    return {
        "status bar": render_status_bar(
            studio.engine.status,
            running,
            len(cache.queued_ids()) if user.sees_runs else 0,
            cache.answers_in_progress(),
            last_ended_run(runs),
            phase=cache.phase_of(running),
            cause=studio.engine.status.cause if user.role is Role.OWNER else "",
        ),
        "models": [BASE, *adapters, *([] if user.only_published else checkpoints.choices(studio.home))],
        "adapter cards": render_adapters(studio, user, parts.adapters),
        "adapters": adapters,
        **{f"runs {number}": value for number, value in enumerate(tab)},
    }


def as_update(component: Any, value: Any) -> Any:
    """A value as an update of the component: HTML is its own, a list is choices, a truth is visibility."""
    if isinstance(component, gr.Dropdown):
        return gr.Dropdown(choices=value)
    return type(component)(visible=value) if isinstance(value, bool) else value

"""What the buttons on an adapter's card do: they lead to where it is used, or change something at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from adapters.bases import Origin, find_base_mismatch
from adapters.common.errors import UserError
from core.models.base_facts import facts_of
from core.recipes.recipe import Recipe
from studio.adapters_page.handlers import remove_adapter, unload_if_loaded
from studio.adapters_page.page import AdaptersPage
from studio.adapters_page.same_base import declare_same_base, withdraw_same_base
from studio.auth.identity import Role, user_of
from studio.auth.permissions import requires
from studio.auth.published import check_may_use
from studio.chat.page import ChatPage
from studio.context import Studio
from studio.engine.client import BASE
from studio.train.components import TrainPage
from studio.train.recipe_form import LEVELS
from studio.ui.events import bind
from studio.ui.html_events import clicked_action

FIRST_FIELDS = {"push": "push-repo", "change": "new-name"}  # by the name of the tab: the field to begin in, its elem_id


@dataclass(frozen=True)
class CardTargets:
    """What a card's buttons lead to. scroll_to: tells the browser which element to show."""

    page: AdaptersPage
    chat: ChatPage
    train: TrainPage
    tabs: gr.Tabs
    scroll_to: gr.Textbox


def connect(
    studio: Studio, page: AdaptersPage, chat: ChatPage, train: TrainPage, tabs: gr.Tabs, scroll_to: gr.Textbox
) -> Any:
    """Returns the event after which the cards are not what they were."""
    targets = CardTargets(page, chat, train, tabs, scroll_to)
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    shown = [page.chosen, page.work, scroll_to, *chat.components.adapters[:2], chat.components.bar.column_count, tabs]
    show = "(id) => studio.reach(id)"
    page.cards.select(bind(open_adapter, studio, targets), None, shown, **private).success(
        None, scroll_to, None, js=show, **private
    )
    changed = list(dict.fromkeys([page.chosen, tabs, train.init_adapter, *train.recipe_outputs]))
    return page.cards.click(bind(change_adapter, studio, targets), None, changed, **private)


@requires(Role.VISITOR)
def open_adapter(studio: Studio, targets: CardTargets, request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
    """Show the adapter in the chat, beside the base, or in one of the tabs for the chosen adapter."""
    action, name = clicked_action(event)
    check_may_use(studio, user_of(request), name)
    studio.store.get(name)
    page, chat = targets.page, targets.chat.components
    first, second = chat.adapters[:2]
    if action == "chat":
        return {targets.scroll_to: "", first: name, chat.bar.column_count: 1, targets.tabs: gr.Tabs(selected="chat")}
    if action == "compare":
        to_chat = {targets.scroll_to: "", targets.tabs: gr.Tabs(selected="chat")}
        return {first: BASE, second: name, chat.bar.column_count: 2, **to_chat}
    return {
        page.chosen: name,
        page.work: gr.Tabs(selected=action),
        targets.scroll_to: FIRST_FIELDS.get(action, ""),
    }


@requires(Role.OWNER)
def change_adapter(studio: Studio, targets: CardTargets, event: gr.EventData) -> dict[Any, Any]:
    action, name = clicked_action(event)
    page = targets.page
    if action == "delete":
        remove_adapter(studio, page.failures, name)
        return {page.chosen: None}
    if action == "continue":
        return train_on(studio, targets, name)
    if action == "same":
        with page.failures.recording(name, "Using it on this base"):
            same_base = declare_same_base(studio, name).same_base
        gr.Info(f"{name} is used on {same_base.base if same_base else 'this base'}, and its record says why.")
        return {page.chosen: gr.skip()}
    if action == "not-same":
        withdraw_same_base(studio, name)
        unload_if_loaded(studio, name)
        gr.Info(f"What was said of {name}'s base is taken back.")
        return {page.chosen: gr.skip()}
    raise UserError(f"There is nothing called {action!r} to do with an adapter.")


def train_on(studio: Studio, targets: CardTargets, name: str) -> dict[Any, Any]:
    """Fill in the recipe that it was trained with, to begin from it; of one made elsewhere only where to begin."""
    train = targets.train
    record = studio.store.get(name)
    here = facts_of(studio.base)
    if reason := find_base_mismatch(Origin.of(record), here.id, here.fingerprint):
        raise UserError(f"{name} cannot be trained on here. {reason}", "Start the studio with that base.")
    to_train = {train.init_adapter: name, targets.tabs: gr.Tabs(selected="train")}
    settings = record.recipe | {"init_adapter": name, "run_name": None, "model_name_or_path": studio.base}
    try:
        recipe = Recipe.from_dict(settings)
    except UserError:  # made elsewhere, or by a version with other settings
        return {train.form.level: LEVELS[2], **to_train}
    return dict(zip(train.recipe_outputs, train.recipe_updates(recipe), strict=True)) | to_train

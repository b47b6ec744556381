"""What the buttons on an adapter's card do: they lead to where one goes on, or change something at once."""

from __future__ import annotations

from typing import Any

import gradio as gr

from adapters.bases import Origin, why_not_base
from adapters.common.errors import UserError
from core.models.base_facts import facts_of
from core.recipes.recipe import Recipe
from studio.adapters_page import same_base
from studio.adapters_page.page import AdaptersPage, forget
from studio.auth.identity import user_of
from studio.auth.published import check_may_use
from studio.chat.page import ChatPage
from studio.context import Studio
from studio.engine.client import BASE
from studio.train.components import TrainPage
from studio.train.recipe_form import LEVELS
from studio.ui.events import told
from studio.ui.html_events import clicked_action

PLACES = {"push": "push-repo", "change": "new-name"}  # the field where it goes on, by element id; the tab has the name


def connect(
    studio: Studio, page: AdaptersPage, chatting: ChatPage, training: TrainPage, tabs: gr.Tabs, place: gr.Textbox
) -> Any:
    """`place` tells the browser what to scroll to. Returns the event after which the cards are not what they were."""
    first, second = chatting.components.adapters[:2]
    column_count = chatting.components.bar.column_count

    def look(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        what, name = clicked_action(event)
        check_may_use(studio, user_of(request), name)
        studio.store.get(name)
        if what == "chat":
            return {place: "", first: name, column_count: 1, tabs: gr.Tabs(selected="chat")}
        if what == "compare":
            return {
                place: "",
                first: BASE,
                second: name,
                column_count: 2,
                tabs: gr.Tabs(selected="chat"),
            }
        return {page.chosen: name, place: PLACES.get(what, ""), page.work: gr.Tabs(selected=what)}

    def act(event: gr.EventData) -> dict[Any, Any]:
        what, name = clicked_action(event)
        if what == "delete":
            page.delete(name)
            return {page.chosen: None}
        if what == "continue":
            return train_on(name)
        if what == "same":
            return say_same(name)
        if what == "not-same":
            same_base.take_back(studio, name)
            forget(studio, name)
            gr.Info(f"What was said of {name}'s base is taken back.")
            return {page.chosen: gr.skip()}
        raise UserError(f"There is nothing called {what!r} to do with an adapter.")

    def say_same(name: str) -> dict[Any, Any]:
        with page.troubles.noting(name, "Using it on this base"):
            said = same_base.say(studio, name).same_base
        gr.Info(f"{name} is used on {said.base if said else 'this base'}, and its record says why.")
        return {page.chosen: gr.skip()}

    def train_on(name: str) -> dict[Any, Any]:
        """The recipe that it was trained with, to begin from it; of one made elsewhere only where to begin."""
        record = studio.store.get(name)
        here = facts_of(studio.base)
        if reason := why_not_base(Origin.of(record), here.id, here.fingerprint):
            raise UserError(f"{name} cannot be trained on here. {reason}", "Start the studio with that base.")
        moved = {training.init_adapter: name, tabs: gr.Tabs(selected="train")}
        given = record.recipe | {"init_adapter": name, "run_name": None, "model_name_or_path": studio.base}
        try:
            recipe = Recipe.from_dict(given)
        except UserError:  # made elsewhere, or by a version with other settings
            return {training.form.level: LEVELS[2], **moved}
        return dict(zip(training.recipe_outputs, training.recipe_updates(recipe), strict=True)) | moved

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    looking = [page.chosen, page.work, place, first, second, column_count, tabs]
    reach = "(id) => studio.reach(id)"
    page.cards.select(told(look), None, looking, **private).success(None, place, None, js=reach, **private)
    changed = list(dict.fromkeys([page.chosen, tabs, training.init_adapter, *training.recipe_outputs]))
    return page.cards.click(told(act), None, changed, **private)

"""Who may do what: every route and every event of the page, as every kind of person, against the table."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI

from core.common.home import Home
from studio.auth.identity import Role
from studio.auth.keys import Keys
from studio.auth.permissions import EVENT_PATHS, EVENTS, HANDLERS, ROUTES, SEES_RUNS, event_name, needed_for, role_for
from studio.ui.events import bind
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import LET_IN, GuardedApp, event, space_settings

ROLES = (Role.VISITOR, Role.USER, Role.OWNER)


def routes_of(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of all routes, mounted and included ones too, with something in place of the parameters."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes, prefix)
        elif type(route).__name__ == "Mount":
            yield "GET", f"{prefix}{route.path}/" if route.path else "/"
            yield from routes_of(getattr(route.app, "routes", []), prefix + route.path)
        else:
            path = re.sub(r"{(\w+)(:path)?}", "x1", prefix + route.path)
            for method in route.methods or ():
                yield method, path


@pytest.mark.slow
def test_every_route_is_open_to_those_in_the_table_and_to_nobody_else(app: FastAPI, space: GuardedApp) -> None:
    walked = set(routes_of(app.routes))
    assert len(walked) > 70
    clients = {role: space.client(role) for role in ROLES}
    for (method, path), role in itertools.product(sorted(walked), ROLES):
        if path in EVENT_PATHS:
            continue  # the next test
        needed = needed_for(method, path)
        status = clients[role].request(method, path).status_code
        if needed is None:
            assert status == 404, f"{method} {path} is not in the table, but {role.name} gets {status}"
        else:
            may = role is Role.OWNER if needed is SEES_RUNS else role >= needed  # type: ignore[operator]
            assert status == (LET_IN if may else 403), f"{role.name} {method} {path}: {status}"


def test_every_rule_of_the_table_is_about_a_route_that_exists(app: FastAPI) -> None:
    walked = set(routes_of(app.routes)) | {("POST", "/access"), ("GET", "/font-roboto/x1"), ("POST", "/tensorboard/x")}
    for methods, pattern, _ in ROUTES:
        assert any(method in methods.split() and re.fullmatch(pattern, path) for method, path in walked), pattern


@pytest.mark.slow
def test_every_event_is_open_to_those_in_the_table_and_to_nobody_else(page: gr.Blocks, space: GuardedApp) -> None:
    assert {event_name(function.fn) for function in page.fns.values()} == set(EVENTS)
    clients = {role: space.client(role) for role in ROLES}
    for (index, function), role, path in itertools.product(page.fns.items(), ROLES, EVENT_PATHS):
        name = event_name(function.fn)
        body = {"data": [None] * len(function.inputs), "fn_index": index, "session_hash": "abc"}
        status = clients[role].post(path, json=body).status_code
        assert status == (LET_IN if role >= EVENTS[name] else 403), f"{role.name} {name}: {status}"


@pytest.mark.parametrize(
    "name",
    [
        "train.handlers.start_run",
        "adapters_page.handlers.delete_adapter",
        "adapters_page.handlers.load_adapter",
        "data.handlers.upload_files",
        "settings.access_handlers.create_key",
        "page_handlers.train_on_dataset",
        "settings.engine_settings.apply_settings",
    ],
)
def test_what_changes_the_studio_is_the_owners(name: str) -> None:
    assert EVENTS[name] is Role.OWNER


def test_who_sees_runs_is_the_owners_choice(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> None:
    closed = GuardedApp(space_settings(provider.url), page, Keys(home)).client()
    opened = GuardedApp(space_settings(provider.url, everyone_sees_runs=True), page, Keys(home)).client()
    assert closed.get("/tensorboard/").status_code == 403
    assert opened.get("/tensorboard/").status_code == LET_IN


def test_a_refusal_says_who_may(space: GuardedApp) -> None:
    answer = space.client().post("/v1/load_lora_adapter", json={})
    assert "owner" in answer.json()["error"]["message"]
    assert "visitor" in answer.json()["detail"]
    answer = space.client().post(
        EVENT_PATHS[0], json=event(space.access.page, "adapters_page.hub_handlers.push_to_hub")
    )
    assert "signed in" in answer.json()["detail"]


def test_a_function_that_merely_has_the_name_of_a_handler_is_refused_to_everybody(
    home: Home, provider: OpenIDProvider
) -> None:
    name, handler = next((name, handler) for name, handler in HANDLERS.items() if EVENTS[name] is Role.VISITOR)

    def impostor() -> None:
        raise AssertionError("it must never run")

    impostor.__module__, impostor.__name__ = handler.__module__, handler.__name__
    with gr.Blocks() as blocks:
        button = gr.Button()
        button.click(impostor)
        button.click(bind(impostor))
    assert {event_name(function.fn) for function in blocks.fns.values()} == {name}
    space = GuardedApp(space_settings(provider.url), blocks, Keys(home))
    for index, role, path in itertools.product(blocks.fns, Role, EVENT_PATHS):
        answer = space.client(role).post(path, json={"data": [], "fn_index": index, "session_hash": "abc"})
        assert answer.status_code == 403, f"{role.name}: {answer.text}"
    assert role_for(impostor) is None and role_for(bind(impostor)) is None
    assert role_for(handler) is role_for(bind(handler)) is Role.VISITOR

"""What is not published: each test fails when somebody but the owner learns of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from studio.auth.identity import LOCAL_OWNER, AccessSettings, Role, User
from studio.auth.published import PublishedAdapters
from studio.context import Studio
from studio.page import build_page
from studio.ui.events import bind
from studio.ui.failures import failure_html
from tests.adapters.folders import write_adapter
from tests.studio.auth.attackers import USER, VISITOR
from tests.studio.conftest import handler, request_of


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio, sign_in=True)


def test_visitors_get_nothing_of_unpublished_adapters_and_runs(
    page: gr.Blocks, quiet_studio: Studio, tmp_path: Path
) -> None:
    record = quiet_studio.store.import_folder(write_adapter(tmp_path / "lora"), "not-for-all")
    tick = handler(page, "page_handlers.refresh_all")
    assert "not-for-all" in str(tick(request_of(LOCAL_OWNER), None))
    assert "not-for-all" not in str(tick(request_of(VISITOR), None))
    assert "not-for-all" not in json.dumps(page.get_config_file(), default=str)
    with pytest.raises(gr.Error, match="not published"):
        handler(page, "adapters_page.hub_handlers.push_to_hub")(
            request_of(USER), "not-for-all", "bob/stolen", False, ""
        )
    PublishedAdapters(quiet_studio.home).set(record, True)
    assert "not-for-all" in str(tick(request_of(VISITOR), None))
    quiet_studio.store.delete("not-for-all")


def test_visitors_are_not_told_where_the_log_of_a_failed_engine_lies(page: gr.Blocks, quiet_studio: Studio) -> None:
    before, tick = quiet_studio.engine.status, handler(page, "page_handlers.refresh_all")
    quiet_studio.engine._set_status("failed", "The engine ended 5 times in a row.", cause="See /srv/home/engine.log.")
    assert "5 times" in str(tick(request_of(VISITOR), None))
    assert "/srv/home" not in str(tick(request_of(VISITOR), None))
    assert "/srv/home" in str(tick(request_of(LOCAL_OWNER), None))
    quiet_studio.engine._status = before


def test_an_error_tells_nobody_but_the_owner_where_files_lie() -> None:
    @bind
    def fails(request: gr.Request) -> None:
        raise UserError("There is no adapter folder at /srv/home/adapters/lost.", "Look again.")

    for person in (VISITOR, USER, LOCAL_OWNER):
        with pytest.raises(gr.Error, match=r"lost\. Look again") as error:
            fails(request_of(person))
        assert ("/srv" in str(error.value.message)) == (person is LOCAL_OWNER)
        assert ("/srv" in failure_html(error.value.__cause__, [request_of(person)])) == (person is LOCAL_OWNER)


@pytest.mark.parametrize("model", ["not-for-all", "run:20260101-000000-x", None, ["base"], {"a": 1}, "../../etc"])
def test_visitors_cannot_have_unpublished_models_answer(
    visitor: TestClient, app: FastAPI, model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.studio.engine, "_url", "http://127.0.0.1:1")
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert visitor.post(path, json=body).status_code in ((403, 429) if isinstance(model, str) else (400, 429))


def test_visitors_cannot_chat_with_unpublished_models(page: gr.Blocks) -> None:
    settings, histories = ("", 0, 1, 16, None), list[list[Any]]([[]] * 4)
    names = ["base", "not-for-all", "base", "base"]
    answers = handler(page, "chat.handlers.send_message")(
        request_of(VISITOR), "hi", 2, 0, False, False, None, *settings, *names, *histories
    )
    with pytest.raises(gr.Error, match="not published"):
        asyncio.run(anext(answers))


def test_a_users_push_and_pull_never_use_the_studios_own_token(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_the-owners")
    used: list[str | None] = []

    def pull_adapter(*args: object, token: str | None, **others: object) -> None:
        used.append(token)
        raise RuntimeError("far enough")

    monkeypatch.setattr("studio.adapters_page.hub_handlers.pull_adapter", pull_adapter)
    pull = handler(page, "adapters_page.hub_handlers.pull_from_hub")
    nobody = User(Role.USER, "user", "user")
    for person, given in ((nobody, ""), (USER, ""), (USER, "hf_typed"), (LOCAL_OWNER, ""), (LOCAL_OWNER, "hf_typed")):
        with pytest.raises(gr.Error):
            pull(request_of(person), "a/b", "", given)
    assert used == ["hf_oauth_bobs", "hf_typed", None, "hf_typed"], "None, the studio's own, for the owner alone"


def test_settings_and_people_do_not_print_their_secrets() -> None:
    assert "owner-token" not in repr(AccessSettings("owner-token", "user-token"))
    assert "user-token" not in repr(AccessSettings("owner-token", "user-token"))
    assert "hf_oauth_bobs" not in repr(USER)

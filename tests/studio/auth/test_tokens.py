"""Tokens, where the studio is not on a Space: who comes in by them, and which are none."""

from __future__ import annotations

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.auth.identity import AccessSettings
from studio.auth.keys import Keys
from studio.auth.middleware import COOKIE
from tests.studio.conftest import LET_IN, OWNER_TOKEN, USER_TOKEN, GuardedApp


def test_with_tokens_strangers_get_the_sign_in_page_and_nothing_else(tokens: GuardedApp) -> None:
    stranger = tokens.client()
    asked = stranger.get("/", headers={"accept": "text/html"})
    assert asked.status_code == 401
    assert 'type="password"' in asked.text
    assert {stranger.get(path).status_code for path in ("/config", "/v1/models", "/tensorboard/", "/metrics")} == {401}
    assert stranger.get("/healthz").status_code == LET_IN


def test_a_link_with_the_token_becomes_a_cookie_and_is_left_at_once(tokens: GuardedApp) -> None:
    client = tokens.client()
    answer = client.get(f"/?token={OWNER_TOKEN}&view=chat")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?view=chat")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert OWNER_TOKEN not in cookie
    assert client.get("/").status_code == LET_IN
    assert client.post("/v1/load_lora_adapter").status_code == LET_IN


def test_the_token_can_be_typed_and_a_wrong_one_is_refused(tokens: GuardedApp) -> None:
    client = tokens.client()
    wrong = client.post("/access", data={"token": "guess"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    assert client.post("/access", data={"token": USER_TOKEN}).status_code == 303
    assert client.get("/").status_code == LET_IN
    assert client.post("/v1/load_lora_adapter").status_code == 403, "that is for the owner"


@pytest.mark.parametrize(("token", "status"), [(OWNER_TOKEN, LET_IN), (USER_TOKEN, 403), ("guess", 401)])
def test_programs_send_the_token_as_a_bearer(tokens: GuardedApp, token: str, status: int) -> None:
    client = tokens.client(Authorization=f"Bearer {token}")
    assert client.post("/v1/unload_lora_adapter").status_code == status


def test_binding_beyond_this_machine_needs_access_control(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="access token"):
        AccessSettings.from_environment(environment={}).check_binding("0.0.0.0")
    AccessSettings.from_environment(environment={"STUDIO_ACCESS_TOKEN": "x"}).check_binding("0.0.0.0")
    for host in ("127.0.0.1", "localhost", "::1"):
        AccessSettings.from_environment(environment={}).check_binding(host)


def test_a_space_without_sign_in_is_not_open_either() -> None:
    with pytest.raises(UserError, match="hf_oauth"):
        AccessSettings.from_environment(environment={"SPACE_ID": "ada/studio"}).check_binding("0.0.0.0")


@pytest.mark.parametrize("given", [("", "only-users"), ("same", "same")])
def test_tokens_that_make_no_sense_are_refused(given: tuple[str, str]) -> None:
    with pytest.raises(UserError):
        AccessSettings.from_environment(*given, environment={})


@pytest.mark.parametrize("token", ["", " ", "\n", "a\tb", "a\0b", "a\udc80"])
def test_a_token_that_is_there_and_blank_opens_the_studio_to_nobody(token: str) -> None:
    """As of `--access-token "$TOKEN"` where that is not set: without a token, this machine would be open."""
    with pytest.raises(UserError, match="--access-token"):
        AccessSettings.from_environment(token, environment={"STUDIO_ACCESS_TOKEN": "other"})
    with pytest.raises(UserError, match="--user-token"):
        AccessSettings.from_environment("owners", token, environment={})
    if token:
        with pytest.raises(UserError, match="--access-token"):
            AccessSettings.from_environment(environment={"STUDIO_ACCESS_TOKEN": token})


def test_a_token_from_a_file_may_end_with_its_line() -> None:
    settings = AccessSettings.from_environment(environment={"STUDIO_ACCESS_TOKEN": "secret\n"})
    assert settings.user_by_token("secret") is not None


@pytest.mark.parametrize("missing", ["OPENID_PROVIDER_URL", "OAUTH_CLIENT_SECRET"])
def test_a_space_that_half_says_how_people_sign_in_does_not_start(missing: str) -> None:
    known = {"OPENID_PROVIDER_URL": "https://hub.example", "OAUTH_CLIENT_ID": "i", "OAUTH_CLIENT_SECRET": "s"}
    with pytest.raises(UserError, match=missing):
        AccessSettings.from_environment(environment=known | {"SPACE_ID": "ada/studio", missing: ""})


def test_locally_everyone_at_this_machine_is_the_owner(page: gr.Blocks, home: Home) -> None:
    guarded = GuardedApp(AccessSettings(), page, Keys(home))
    for host in ("127.0.0.1:7860", "localhost:7860", "[::1]:7860"):
        guarded.host = host
        assert guarded.client(Authorization="Bearer not-needed").post("/v1/load_lora_adapter").status_code == LET_IN
    assert COOKIE not in guarded.client().get("/").headers.get("set-cookie", "")

"""Signing in on a Space: whom the Hub's answer makes somebody, and how long sessions last."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from studio.app import build_app
from studio.auth.identity import AccessSettings, Provider, Role, User
from studio.auth.openid import parse_lifetime
from studio.auth.sessions import MAX_SESSIONS_OF_ONE, Sessions
from studio.auth.signin import COOKIE as SESSION_COOKIE
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import SPACE_HOST, space_settings


def sign_in(app: FastAPI, provider: OpenIDProvider, profile: dict[str, Any] | None) -> tuple[TestClient, Any]:
    """A browser that went all the way through the provider, and the answer at the end of it."""
    provider.profile = profile
    browser = TestClient(app, f"https://{SPACE_HOST}", follow_redirects=False)
    asked = browser.get("/login/huggingface")
    assert asked.status_code == 303
    import httpx

    back = httpx.get(asked.headers["location"], verify=False).headers["location"]
    assert back.startswith(f"https://{SPACE_HOST}/login/callback?")
    return browser, browser.get(back)


@pytest.mark.parametrize(
    ("profile", "role"),
    [
        ({"preferred_username": "Ada"}, Role.OWNER),
        ({"preferred_username": "bob"}, Role.USER),
        ({"preferred_username": "bob", "orgs": [{"preferred_username": "ada", "roleInOrg": "write"}]}, Role.OWNER),
        ({"preferred_username": "bob", "orgs": [{"preferred_username": "ada", "roleInOrg": "read"}]}, Role.USER),
        ({"preferred_username": "bob", "name": "ada", "orgs": [{"preferred_username": "guild"}]}, Role.USER),
    ],
)
def test_who_signs_in_gets_their_role(
    app: FastAPI, provider: OpenIDProvider, profile: dict[str, Any], role: Role
) -> None:
    browser, answer = sign_in(app, provider, profile)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert all(attribute in cookie for attribute in ("HttpOnly", "Secure", "SameSite=none"))
    assert not any(token in cookie for token in provider.tokens), "the Hub token stays on the server"
    loading = {"lora_name": "x", "lora_path": "x"}
    assert browser.post("/v1/load_lora_adapter", json=loading).status_code == (403 if role < Role.OWNER else 503)
    assert browser.get("/metrics").status_code == 503, "let in, but there is no engine"
    assert browser.post("/logout").status_code == 303
    assert browser.get("/metrics").status_code == 403


@pytest.mark.parametrize(
    ("org", "role"),
    [
        ({"roleInOrg": "admin"}, Role.OWNER),
        ({"roleInOrg": "write"}, Role.OWNER),
        ({"roleInOrg": "write", "securityRestrictions": []}, Role.OWNER),
        ({"roleInOrg": "write", "securityRestrictions": ["mfa"]}, Role.USER),
        ({"roleInOrg": "contributor"}, Role.USER),
        ({"roleInOrg": "no_access"}, Role.USER),
        ({"roleInOrg": "Admin"}, Role.USER),
        ({"roleInOrg": ["admin"]}, Role.USER),
        ({"roleInOrg": True}, Role.USER),
        ({"roleInOrg": None}, Role.USER),
        ({"roleInOrg": ""}, Role.USER),
        ({}, Role.USER),
        ({"roleInOrg": "admin", "preferred_username": None, "name": "ada"}, Role.USER),
        ({"roleInOrg": "admin", "preferred_username": ["ada"]}, Role.USER),
    ],
)
def test_a_member_of_the_organisation_is_an_owner_only_where_it_says_that_they_may_write(
    org: dict[str, Any], role: Role
) -> None:
    settings = space_settings("https://hub.example")
    profile = {"preferred_username": "bob", "orgs": [{"preferred_username": "ada"} | org]}
    assert settings.user_by_profile(profile, "t").role is role


@pytest.mark.parametrize("orgs", [None, "ada", {"ada": {"roleInOrg": "admin"}}, ["ada"], [None], [["ada", "admin"]], 7])
def test_organisations_that_are_told_otherwise_make_nobody_an_owner(orgs: Any) -> None:
    settings = space_settings("https://hub.example")
    assert settings.user_by_profile({"preferred_username": "bob", "orgs": orgs}, "t").role is Role.USER


@pytest.mark.parametrize("org", [{}, {"preferred_username": ""}, {"preferred_username": None}])
def test_a_space_whose_author_is_not_told_belongs_to_nobody(org: dict[str, Any]) -> None:
    settings = AccessSettings(provider=Provider("https://hub.example", "i", "s"))
    profile = {"preferred_username": "bob", "orgs": [org | {"roleInOrg": "admin"}]}
    assert settings.user_by_profile(profile, "t").role is Role.USER


@pytest.mark.parametrize("name", [None, "", " ", 7, ["ada"], "ada ", "\u0430da", "\u212aate", "a/b", "-"])
def test_who_has_no_name_of_the_hub_is_not_signed_in(name: Any) -> None:
    settings = space_settings("https://hub.example", owners=frozenset({"kate"}))
    with pytest.raises(ValueError, match="no name"):
        settings.user_by_profile({"preferred_username": name}, "t")


@pytest.mark.parametrize(
    ("listed", "owners"), [("", set()), (" , ,", set()), ("Bob,\teve\n", {"bob", "eve"}), ("a.b-c_d", {"a.b-c_d"})]
)
def test_owners_are_read_from_however_they_are_listed(listed: str, owners: set[str]) -> None:
    assert AccessSettings.from_environment(environment={"STUDIO_OWNERS": listed}).owners == owners


@pytest.mark.parametrize("listed", ["bob;eve", "@bob", '"bob"', "huggingface.co/bob", "*", "b\u00f6b"])
def test_owners_that_could_never_come_in_are_refused_with_their_name(listed: str) -> None:
    with pytest.raises(UserError, match="STUDIO_OWNERS"):
        AccessSettings.from_environment(environment={"STUDIO_OWNERS": listed})


def test_owners_can_be_listed(provider: OpenIDProvider) -> None:
    settings = space_settings(provider.url, owners=frozenset({"bob"}))
    assert settings.user_by_profile({"preferred_username": "Bob"}, "t").role is Role.OWNER
    assert settings.user_by_profile({"preferred_username": "eve"}, "t").role is Role.USER


def test_an_environment_of_a_space_is_read_whole() -> None:
    environment = {
        "SPACE_ID": "ada/studio", "SPACE_AUTHOR_NAME": "Ada", "SPACE_HOST": "a.hf.space,studio.example",
        "OAUTH_CLIENT_ID": "i", "OAUTH_CLIENT_SECRET": "s", "OPENID_PROVIDER_URL": "https://hub.example/",
        "STUDIO_OWNERS": "bob, Eve", "STUDIO_MESSAGES_PER_MINUTE": "3,9", "STUDIO_RUNS_ARE_PUBLIC": "1",
    }  # fmt: skip
    settings = AccessSettings.from_environment(environment=environment)
    assert settings.provider is not None
    assert (settings.provider.url, settings.author) == ("https://hub.example", "ada")
    assert settings.owners == {"bob", "eve"}
    assert settings.hosts == {"a.hf.space", "studio.example"}
    assert (settings.messages_per_minute, settings.everyone_sees_runs) == ((3, 9), True)
    assert "OAUTH" not in json.dumps(repr(settings))
    assert "'s'" not in repr(settings)
    settings.check_binding("0.0.0.0")


def test_a_declined_sign_in_opens_no_session(app: FastAPI, provider: OpenIDProvider) -> None:
    browser, answer = sign_in(app, provider, None)
    assert answer.status_code == 400
    assert SESSION_COOKIE not in browser.cookies


@pytest.mark.parametrize("seconds", [None, "soon", float("nan"), float("inf"), 0, -1, [60], {}])
def test_a_session_whose_end_is_not_told_is_not_begun(seconds: Any) -> None:
    with pytest.raises(ValueError):
        parse_lifetime(seconds)


def test_a_session_lasts_eight_hours_at_most() -> None:
    assert [parse_lifetime(seconds) for seconds in (60, "60", 10**9)] == [60, 60, 8 * 3600]


def test_nobodys_sessions_are_pushed_out_by_another_person() -> None:
    sessions = Sessions()
    ada, eve = User(Role.OWNER, "ada", "hub:ada"), User(Role.USER, "eve", "hub:eve")
    adas, eves = sessions.open(ada, 60), [sessions.open(eve, 60) for _ in range(MAX_SESSIONS_OF_ONE + 5)]
    assert sessions.find_user(adas) == ada
    assert [sessions.find_user(cookie) for cookie in eves] == [None] * 5 + [eve] * MAX_SESSIONS_OF_ONE


@pytest.mark.slow
def test_an_answer_of_the_provider_that_cannot_be_used_is_said_and_opens_nothing(
    app: FastAPI, provider: OpenIDProvider
) -> None:
    browser, answer = sign_in(app, provider, {"preferred_username": ["ada"]})
    assert answer.status_code == 400
    assert "could not be used" in answer.text
    assert SESSION_COOKIE not in browser.cookies
    away = build_app(app.state.studio, space_settings("http://127.0.0.1:1"))
    answer = TestClient(away, f"https://{SPACE_HOST}", follow_redirects=False).get("/login/huggingface")
    assert answer.status_code == 503
    assert "could not be asked" in answer.text


def test_sessions_end_when_the_token_does() -> None:
    sessions = Sessions()
    ada = User(Role.OWNER, "ada", "hub:ada")
    assert sessions.find_user(sessions.open(ada, 60)) == ada
    assert sessions.find_user(sessions.open(ada, -1)) is None
    assert sessions.find_user("made-up") is None

"""Who may do what: every route and every event of the page, as every kind of person, against the table."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from core.common.home import Home
from studio.app import build_app
from studio.auth.identity import AccessSettings, Provider, Role, User
from studio.auth.keys import Keys
from studio.auth.limits import RateLimits
from studio.auth.middleware import COOKIE
from studio.auth.openid import session_seconds
from studio.auth.permissions import EVENT_PATHS, EVENTS, HANDLERS, ROUTES, SEES_RUNS, event_name, needed_for, role_for
from studio.auth.sessions import MAX_SESSIONS_OF_ONE, Sessions
from studio.auth.signin import COOKIE as SESSION_COOKIE
from studio.context import Studio
from studio.page import build_page
from studio.ui.events import bind
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import LET_IN, OWNER_TOKEN, SPACE_HOST, USER_TOKEN, GuardedApp, event, space_settings

ROLES = (Role.VISITOR, Role.USER, Role.OWNER)


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio, sign_in=True)


@pytest.fixture(scope="module")
def app(quiet_studio: Studio, provider: OpenIDProvider) -> FastAPI:
    return build_app(quiet_studio, space_settings(provider.url))


@pytest.fixture
def space(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> GuardedApp:
    return GuardedApp(space_settings(provider.url, messages_per_minute=(10_000, 10_000)), page, Keys(home))


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


# Tokens, when the studio is not on a Space


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
    assert settings.by_token("secret") is not None


@pytest.mark.parametrize("missing", ["OPENID_PROVIDER_URL", "OAUTH_CLIENT_SECRET"])
def test_a_space_that_half_says_how_people_sign_in_does_not_start(missing: str) -> None:
    known = {"OPENID_PROVIDER_URL": "https://hub.example", "OAUTH_CLIENT_ID": "i", "OAUTH_CLIENT_SECRET": "s"}
    with pytest.raises(UserError, match=missing):
        AccessSettings.from_environment(environment=known | {"SPACE_ID": "ada/studio", missing: ""})


# API keys


def test_a_key_is_shown_once_kept_as_a_hash_and_refused_when_revoked(space: GuardedApp, home: Home) -> None:
    keys = Keys(home)
    key = keys.create("my notebook")
    client = space.client(Authorization=f"Bearer {key}")
    assert key not in (home.root / "keys.json").read_text()
    assert (home.root / "keys.json").stat().st_mode & 0o077 == 0
    assert client.post("/v1/chat/completions", json={}).status_code == LET_IN
    assert client.get("/metrics").status_code == LET_IN
    assert client.post("/v1/load_lora_adapter", json={}).status_code == 403
    assert client.get("/config").status_code == 401, "a key is for programs, not for the page"
    Keys(home).revoke("my notebook")  # by another process
    assert client.post("/v1/chat/completions", json={}).status_code == 401


def test_key_names_are_checked_and_unique(home: Home) -> None:
    keys = Keys(home)
    keys.create("one")
    for bad in ("one", "", "../x", "a\nb", "x" * 65):
        with pytest.raises(UserError):
            keys.create(bad)
    with pytest.raises(UserError, match="one"):
        keys.revoke("two")


def test_a_hub_token_for_a_private_spaces_own_proxy_is_not_taken_for_a_key(space: GuardedApp) -> None:
    assert space.client(Authorization="Bearer hf_somebodys").get("/v1/models").status_code == LET_IN


# Limits


def test_limits_hold_per_person_and_in_total_and_pass_with_time() -> None:
    now = 0.0
    limits = RateLimits(2, 3, lambda: now)
    assert [limits.wait("a"), limits.wait("a"), limits.wait("a")] == [0, 0, 60]
    assert [limits.wait("b"), limits.wait("c")] == [0, 60]
    now = 45.0
    assert limits.wait("a") == 15
    now = 60.0
    assert limits.wait("a") == 0


def test_what_is_large_counts_as_several() -> None:
    now = 0.0
    limits = RateLimits(4, 100, lambda: now)
    assert [limits.wait("a"), limits.wait("a", 5)] == [0, 0], "while there is room it is let in whole"
    now = 30.0
    assert limits.wait("a") == 30, "six counted, and room again when all but three are gone"
    now = 60.0
    assert limits.wait("a") == 0


def test_visitors_are_limited_and_the_owner_is_not(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> None:
    guarded = GuardedApp(space_settings(provider.url, messages_per_minute=(1, 2)), page, Keys(home))
    send = event(page, "chat.handlers.send_message")
    first, second = guarded.client(**{"x-forwarded-for": "1.1.1.1"}), guarded.client(**{"x-forwarded-for": "2.2.2.2"})
    assert first.post(EVENT_PATHS[0], json=send).status_code == LET_IN
    again = first.post("/v1/chat/completions", json={})
    assert again.status_code == 429
    assert int(again.headers["retry-after"]) > 0
    assert second.post("/v1/completions", json={}).status_code == LET_IN
    assert guarded.client(**{"x-forwarded-for": "3.3.3.3"}).post(EVENT_PATHS[1], json=send).status_code == 429
    owner = guarded.client(Role.OWNER)
    assert {owner.post(EVENT_PATHS[0], json=send).status_code for _ in range(4)} == {LET_IN}


# Signing in on a Space


def sign_in(app: FastAPI, provider: OpenIDProvider, profile: dict[str, Any] | None) -> tuple[TestClient, Any]:
    """A browser that went all the way through the provider, and the answer at the end of it."""
    provider.profile = profile
    browser = TestClient(app, f"https://{SPACE_HOST}", follow_redirects=False)
    asked = browser.get("/login/huggingface")
    assert asked.status_code == 303
    import httpx

    back = httpx.get(asked.headers["location"]).headers["location"]
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
    assert settings.by_profile(profile, "t").role is role


@pytest.mark.parametrize("orgs", [None, "ada", {"ada": {"roleInOrg": "admin"}}, ["ada"], [None], [["ada", "admin"]], 7])
def test_organisations_that_are_told_otherwise_make_nobody_an_owner(orgs: Any) -> None:
    settings = space_settings("https://hub.example")
    assert settings.by_profile({"preferred_username": "bob", "orgs": orgs}, "t").role is Role.USER


@pytest.mark.parametrize("org", [{}, {"preferred_username": ""}, {"preferred_username": None}])
def test_a_space_whose_author_is_not_told_belongs_to_nobody(org: dict[str, Any]) -> None:
    settings = AccessSettings(provider=Provider("https://hub.example", "i", "s"))
    profile = {"preferred_username": "bob", "orgs": [org | {"roleInOrg": "admin"}]}
    assert settings.by_profile(profile, "t").role is Role.USER


@pytest.mark.parametrize("name", [None, "", " ", 7, ["ada"], "ada ", "\u0430da", "\u212aate", "a/b", "-"])
def test_who_has_no_name_of_the_hub_is_not_signed_in(name: Any) -> None:
    settings = space_settings("https://hub.example", owners=frozenset({"kate"}))
    with pytest.raises(ValueError, match="no name"):
        settings.by_profile({"preferred_username": name}, "t")


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
    assert settings.by_profile({"preferred_username": "Bob"}, "t").role is Role.OWNER
    assert settings.by_profile({"preferred_username": "eve"}, "t").role is Role.USER


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
        session_seconds(seconds)


def test_a_session_lasts_eight_hours_at_most() -> None:
    assert [session_seconds(seconds) for seconds in (60, "60", 10**9)] == [60, 60, 8 * 3600]


def test_nobodys_sessions_are_pushed_out_by_another_person() -> None:
    sessions = Sessions()
    ada, eve = User(Role.OWNER, "ada", "hub:ada"), User(Role.USER, "eve", "hub:eve")
    adas, eves = sessions.open(ada, 60), [sessions.open(eve, 60) for _ in range(MAX_SESSIONS_OF_ONE + 5)]
    assert sessions.user(adas) == ada
    assert [sessions.user(cookie) for cookie in eves] == [None] * 5 + [eve] * MAX_SESSIONS_OF_ONE


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
    assert sessions.user(sessions.open(ada, 60)) == ada
    assert sessions.user(sessions.open(ada, -1)) is None
    assert sessions.user("made-up") is None


def test_locally_everyone_at_this_machine_is_the_owner(page: gr.Blocks, home: Home) -> None:
    guarded = GuardedApp(AccessSettings(), page, Keys(home))
    for host in ("127.0.0.1:7860", "localhost:7860", "[::1]:7860"):
        guarded.host = host
        assert guarded.client(Authorization="Bearer not-needed").post("/v1/load_lora_adapter").status_code == LET_IN
    assert COOKIE not in guarded.client().get("/").headers.get("set-cookie", "")


# Handlers that are not what they are called


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

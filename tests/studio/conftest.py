"""One page for all tests of access, and the people who may stand before it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from core.common.home import Home
from studio.auth.identity import SCOPE_KEY, AccessSettings, Provider, Role, User
from studio.auth.keys import Keys
from studio.auth.middleware import AccessMiddleware
from studio.auth.permissions import event_name
from studio.auth.sessions import Sessions
from studio.auth.signin import COOKIE as SESSION_COOKIE
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from tests.studio.auth.openid import CLIENT_ID, CLIENT_SECRET, OpenIDProvider

SPACE_HOST = "ada-studio.hf.space"
LET_IN = 299
OWNER_TOKEN, USER_TOKEN = "token-of-the-owner", "token-of-users"


class GuardedApp:
    """The access middleware before an app that lets everything in and says so."""

    def __init__(self, settings: AccessSettings, page: gr.Blocks, keys: Keys) -> None:
        self.sessions = Sessions()
        self.access = AccessMiddleware(PlainTextResponse("in", LET_IN), settings, page, keys, self.sessions)
        self.host = SPACE_HOST if settings.provider else "127.0.0.1:7860"

    def client(self, role: Role = Role.VISITOR, /, **headers: str) -> TestClient:
        client = TestClient(self.access, f"http://{self.host}", headers=headers, follow_redirects=False)
        if role > Role.VISITOR:
            person = User(role, role.name, role.name, sees_runs=role is Role.OWNER)
            client.cookies.set(SESSION_COOKIE, self.sessions.open(person, 60))
        return client


@pytest.fixture(scope="module")
def quiet_studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A studio whose engine was never started."""
    home = Home.open(tmp_path_factory.mktemp("studio") / "home")
    return Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))


@pytest.fixture
def empty_studio(quiet_studio: Studio) -> Studio:
    """The quiet studio, without a run."""
    for run in list(quiet_studio.home.runs.iterdir()):
        if run.is_dir():
            shutil.rmtree(run)
    return quiet_studio


@pytest.fixture(scope="session")
def provider() -> Iterator[OpenIDProvider]:
    server = OpenIDProvider()
    yield server
    server.close()


@pytest.fixture
def tokens(page: gr.Blocks, home: Home) -> GuardedApp:
    return GuardedApp(AccessSettings(OWNER_TOKEN, USER_TOKEN), page, Keys(home))


def space_settings(url: str, **others: Any) -> AccessSettings:
    """The settings of a Space of ada's."""
    return AccessSettings(
        provider=Provider(url, CLIENT_ID, CLIENT_SECRET), author="ada", hosts=frozenset({SPACE_HOST}), **others
    )


def request_of(person: User) -> gr.Request:
    """What a handler gets when `person` triggers its event."""
    return gr.Request(request=Request({"type": "http", "headers": [], SCOPE_KEY: person}))


def event(page: gr.Blocks, name: str, data: list[Any] | None = None, **others: Any) -> dict[str, Any]:
    """The body of an event; without `data` one with nothing in its inputs."""
    index, function = next((index, event) for index, event in page.fns.items() if event_name(event.fn) == name)
    given = [None] * len(function.inputs) if data is None else data
    return {"data": given, "fn_index": index, "session_hash": "mallory"} | others


def handler(page: gr.Blocks, name: str, *, in_place: bool = False) -> Any:
    """What an event of that name runs. Where failures stand in place, one that raises them unless `in_place`."""
    found = next(event.fn for event in page.fns.values() if event_name(event.fn) == name)
    return found if in_place else getattr(found, "raising", found)


def files_beneath(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}

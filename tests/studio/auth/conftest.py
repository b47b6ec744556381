"""The page, and the whole app on a Space and on one's own machine, for the tests of who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.common.home import Home
from studio.app import build_app
from studio.auth import middleware
from studio.auth.keys import Keys
from studio.auth.limits import RateLimits
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.page import build_page
from tests.studio.auth.attackers import HERE
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import SPACE_HOST, GuardedApp, space_settings


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    """What events there are. Nobody runs them here: tests that do have a page over their own studio."""
    home = Home.open(tmp_path_factory.mktemp("page") / "home")
    return build_page(Studio.over(home, "builtin", EngineSupervisor(home, "builtin")), sign_in=True)


@pytest.fixture(scope="session")
def quiet_studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """One for all tests of access: its app and its page take a second to make."""
    home = Home.open(tmp_path_factory.mktemp("studio") / "home")
    return Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))


@pytest.fixture(scope="session")
def limits() -> list[RateLimits]:
    """Those of `app`."""
    return []


@pytest.fixture(scope="session")
def app(quiet_studio: Studio, provider: OpenIDProvider, limits: list[RateLimits]) -> FastAPI:
    def remembered(*arguments: Any) -> RateLimits:
        limits.append(RateLimits(*arguments))
        return limits[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(middleware, "RateLimits", remembered)
        app = build_app(quiet_studio, space_settings(provider.url))
        app.middleware_stack = app.build_middleware_stack()
    assert limits
    return app


@pytest.fixture(autouse=True)
def nobody_has_asked_before(limits: list[RateLimits]) -> None:
    """All tests come from one address, and count for themselves."""
    for each in limits:
        each._of.clear()
        each._all.clear()


@pytest.fixture
def space(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> GuardedApp:
    return GuardedApp(space_settings(provider.url, messages_per_minute=(10_000, 10_000)), page, Keys(home))


@pytest.fixture(scope="session")
def local(quiet_studio: Studio) -> Iterator[TestClient]:
    """The whole app as it is started on one's own machine: the person before it may do everything."""
    with TestClient(build_app(quiet_studio), HERE, follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def visitor(app: FastAPI) -> TestClient:
    url = f"https://{SPACE_HOST}"
    return TestClient(app, url, follow_redirects=False, raise_server_exceptions=False)

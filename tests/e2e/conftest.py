"""A browser, a Hub and a studio for the end-to-end tests; a trace and a screenshot are left when one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.common.home import Home
from tests import browser as chromium
from tests.app_process import ROOT, StudioProcess
from tests.e2e.furnished import furnish, know_a_speed
from tests.hub_server.server import HubServer

ARTEFACTS = ROOT / "artefacts"
expect.set_options(timeout=30_000)  # ms; two files are tested at a time on two cores, and nothing here is about speed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        pytest.skip("NO CHROMIUM: the browser tests are left out; `make test` says how to get one")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def plain_hub(tmp_path: Path) -> Iterator[HubServer]:
    """The Hub server alone, for processes that are told of it by their environment."""
    server = HubServer(tmp_path / "hub-server")
    yield server
    server.close()


@pytest.fixture
def studio(tmp_path: Path, plain_hub: HubServer) -> Iterator[StudioProcess]:
    environment = plain_hub.env(token="hf_ada") | {"HF_HUB_OFFLINE": "0"}
    home = Home.open(tmp_path / "home")
    know_a_speed(home)
    process = StudioProcess(home.root, env=environment)
    process.wait_for_address()
    yield process
    process.stop()


@pytest.fixture
def page(browser: Browser, studio: StudioProcess, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The studio's page, just opened. Every request it makes must go to the studio."""
    ARTEFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.tracing.start(snapshots=True)  # pictures of all frames would take a third of the processor
    page = context.new_page()
    foreign: list[str] = []
    page.on("request", lambda sent: foreign.append(sent.url) if is_foreign(sent.url, studio.url) else None)
    page.goto(studio.url)
    yield page
    name = request.node.name
    failed = request.node.stash.get(FAILED, True)
    if failed:
        page.screenshot(path=str(ARTEFACTS / f"{name}-failed.png"))
    context.tracing.stop(path=str(ARTEFACTS / f"{name}-trace.zip") if failed else None)
    context.close()
    assert not foreign, f"the page asked other hosts: {foreign}"


def is_foreign(url: str, own: str) -> bool:
    return not url.startswith((own, own.replace("http", "ws", 1), "data:", "blob:", "about:"))


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio with adapters and runs, whose engine is there: one for all tests that use it."""
    folder = tmp_path_factory.mktemp("furnished")
    home = Home.open(folder / "home")
    furnish(home, folder)
    process = StudioProcess(home.root)
    process.wait_for_address()
    process.wait_until_ready()
    yield process
    process.stop()


@pytest.fixture
def visit(browser: Browser, furnished: StudioProcess, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens the furnished studio in a browser of its own: visit(address, **options of the browser's context).

    Nothing may be asked of other hosts, and no script may fail.
    """
    ARTEFACTS.mkdir(exist_ok=True)
    pages: list[Page] = []
    complaints: list[str] = []

    def opened(address: str = "", **options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        page = context.new_page()
        pages.append(page)
        page.on("request", lambda sent: complaints.append(sent.url) if is_foreign(sent.url, furnished.url) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{furnished.url}/{address}")
        return page

    yield opened
    if request.node.stash.get(FAILED, True):
        for number, page in enumerate(pages):
            page.screenshot(path=str(ARTEFACTS / f"{request.node.name}-{number}-failed.png"))
    for page in pages:
        page.context.close()
    assert not complaints

"""A Space in a browser: a visitor chats, signs in, and is a user or the owner; the page works under its own policy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from adapters.store import AdapterStore
from core.common.home import Home
from studio.auth.published import PublishedAdapters
from tests.adapters.folders import write_adapter
from tests.app_process import StudioProcess
from tests.e2e.furnished import know_a_speed
from tests.e2e.steps import MINUTE, answers, ask, choose, fill, open_tab
from tests.studio.auth.openid import CLIENT_ID, CLIENT_SECRET, OpenIDProvider

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    server = OpenIDProvider()
    yield server
    server.close()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, provider: OpenIDProvider) -> Iterator[StudioProcess]:
    """A studio with a Space's environment, but for SPACE_HOST: the browser reaches it by its own address."""
    tmp_path = tmp_path_factory.mktemp("space")
    home = Home.open(tmp_path / "home")
    know_a_speed(home)
    store = AdapterStore(home.adapters)
    PublishedAdapters(home).set(store.import_folder(write_adapter(tmp_path / "a"), "for-everyone"), True)
    store.import_folder(write_adapter(tmp_path / "b"), "not-yet")
    store.import_folder(write_adapter(tmp_path / "c"), "soon")
    environment = {
        "SPACE_ID": "ada/studio",
        "SPACE_AUTHOR_NAME": "ada",
        "OAUTH_CLIENT_ID": CLIENT_ID,
        "OAUTH_CLIENT_SECRET": CLIENT_SECRET,
        "OPENID_PROVIDER_URL": provider.url,
    }
    process = StudioProcess(home.root, env=environment)
    process.wait_for_address()
    yield process
    process.stop()


@pytest.fixture
def visit(browser: Browser, space: StudioProcess) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(space.url)
    yield page
    context.close()
    assert not complaints


def role(page: Page, name: str) -> None:
    expect(page.locator("#greeting .greeting")).to_have_attribute("data-role", name, timeout=MINUTE)


def sign_in(page: Page, provider: OpenIDProvider, name: str) -> Page:
    """Through the provider; signing in happens in a tab of its own, which is where one goes on."""
    provider.profile = {"preferred_username": name}
    with page.expect_popup() as opened:
        page.get_by_text("Sign in with Hugging Face").click()
    return opened.value


def test_a_visitor_chats_and_is_told_who_may_do_the_rest(visit: Page, provider: OpenIDProvider) -> None:
    role(visit, "visitor")
    ask(visit, "What is the capital of Cuba?")
    expect(answers(visit, 0).last).to_contain_text(re.compile(r"\w"), timeout=3 * MINUTE)
    expect(visit.locator("#badge-0")).to_contain_text(re.compile(r"\d+ tokens"), timeout=2 * MINUTE)
    open_tab(visit, "Adapters")
    expect(visit.locator("#adapters-table")).to_contain_text("for-everyone")
    expect(visit.locator("#adapters-table")).not_to_contain_text("not-yet")
    expect(visit.locator("#adapters-table article").get_by_role("link")).to_have_count(0)
    expect(visit.locator("#adapters-who")).to_contain_text("is for the owner")
    expect(visit.locator("#change-adapter")).to_be_hidden()
    expect(visit.locator("#hub-may")).to_contain_text("Who signs in can")
    choose(visit, "#chosen-adapter", "for-everyone")
    expect(visit.locator("#push")).to_be_disabled()
    for tab, place in (("Data", "data"), ("Train", "train"), ("TensorBoard", "board")):
        open_tab(visit, tab)
        expect(visit.locator(f"#{place}-closed")).to_contain_text("owner")
    expect(visit.locator("#start-run")).to_be_hidden()

    user = sign_in(visit, provider, "bob")
    role(user, "user")
    open_tab(user, "Adapters")
    expect(user.locator("#hub-may")).to_contain_text("bob")
    card = user.locator('[data-adapter="for-everyone"]')
    expect(card.get_by_role("link", name="Download for-everyone as a zip")).to_be_visible()
    expect(card.locator("[data-action]")).to_have_count(0)
    expect(user.locator("#adapters-who")).to_contain_text("is for the owner")
    card.get_by_text("Push …").click()
    expect(user.locator("#chosen-adapter input")).to_have_value("for-everyone")
    expect(user.locator("#push")).to_be_enabled()
    fill(user, "#push-repo", "bob/mine-now")
    user.locator("#preview-push").click()
    expect(user.locator("#push-files")).to_contain_text("adapter_model.safetensors", timeout=MINUTE)
    user.get_by_text("Sign out").click()
    role(user, "visitor")


def test_the_owner_publishes_and_makes_a_key(visit: Page, provider: OpenIDProvider, space: StudioProcess) -> None:
    role(visit, "visitor")
    owner = sign_in(visit, provider, "Ada")
    role(owner, "owner")
    open_tab(owner, "Settings")
    choose(owner, "#publish-adapter", "soon")
    owner.locator("#publish").click()
    expect(owner.locator("#published")).to_contain_text("soon", timeout=MINUTE)
    fill(owner, "#key-name", "notebook")
    owner.locator("#create-key").click()
    expect(owner.locator("#new-key textarea, #new-key input").first).to_have_value(re.compile("^gs_"), timeout=MINUTE)
    open_tab(visit, "Adapters")
    expect(visit.locator("#adapters-table")).to_contain_text("soon", timeout=MINUTE)
    assert "gs_" not in (space.home / "keys.json").read_text()

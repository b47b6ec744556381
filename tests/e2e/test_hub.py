"""The Adapters page against the in-test Hub: cards, a push that was looked at first, a pull, a zip, merged weights."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from adapters.store import AdapterStore
from core.common.home import Home
from tests.adapters.folders import weights, write_adapter
from tests.app_process import StudioProcess
from tests.e2e.steps import MINUTE, fill, open_tab
from tests.hub_server.server import HubServer

pytestmark = pytest.mark.e2e
LINEARS = {"model.layers.0.self_attn.q_proj": (256, 256), "model.layers.3.mlp.up_proj": (704, 256)}


@pytest.fixture
def store(studio: StudioProcess, tmp_path: Path) -> AdapterStore:
    store = AdapterStore(Home(studio.home).adapters)
    store.import_folder(write_adapter(tmp_path / "a", tensors=weights(LINEARS)), "parrot", note="Repeats itself.")
    llama = write_adapter(tmp_path / "b", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    store.import_folder(llama, "of-another-base")
    return store


def test_an_adapters_way_to_the_hub_and_back(
    page: Page, studio: StudioProcess, store: AdapterStore, plain_hub: HubServer, tmp_path: Path
) -> None:
    studio.wait_until_ready()
    open_tab(page, "Adapters")
    parrot, other = (page.locator(f'[data-adapter="{name}"]') for name in ("parrot", "of-another-base"))
    expect(parrot).to_contain_text("Repeats itself.", timeout=MINUTE)
    expect(other).to_contain_text("Cannot be used here. It was trained on meta-llama", timeout=MINUTE)

    # Change: name and tags; the card follows.
    parrot.get_by_text("Change …").click()
    expect(page.locator("#adapter-note textarea, #adapter-note input").first).to_have_value("Repeats itself.")
    fill(page, "#new-name", "polly")
    fill(page, "#adapter-tags", "bird")
    page.locator("#save-adapter").click()
    polly = page.locator('[data-adapter="polly"]')
    expect(polly).to_contain_text("#bird", timeout=MINUTE)
    expect(page.locator("#chosen-adapter input")).to_have_value("polly", timeout=MINUTE)
    page.locator("#load-adapter").click()
    expect(polly).to_contain_text(re.compile("in a slot|in memory"), timeout=MINUTE)

    # Push: what would be sent, then the link. Both models were asked for sample answers on the way.
    polly.get_by_text("Push …").click()
    fill(page, "#push-repo", "ada/polly")
    page.locator("#preview-push").click()
    expect(page.locator("#push-files")).to_contain_text("adapter_model.safetensors", timeout=MINUTE)
    expect(page.locator("#push-card-text")).to_contain_text("How to load it")
    assert not plain_hub.repos.find("model", "ada/polly"), "looking sends nothing"
    page.locator("#push").click()
    expect(page.locator("#pushed a")).to_have_attribute("href", f"{plain_hub.url}/ada/polly", timeout=2 * MINUTE)
    expect(page.locator("#pushed")).to_contain_text("sample answers, asked just now")
    assert plain_hub.repo("ada/polly").private
    assert "With this adapter" in plain_hub.read("ada/polly", "README.md").decode()
    expect(polly).to_contain_text("on the Hub", timeout=MINUTE)

    # And back under another name. What fails says why in its place, until something works.
    fill(page, "#pull-repo", "ada/not-there")
    page.locator("#pull").click()
    failed = page.locator("#pull-failed").get_by_role("alert")
    expect(failed).to_contain_text("There is no repository ada/not-there", timeout=MINUTE)
    expect(failed).to_contain_text("Check its name")
    fill(page, "#pull-repo", "ada/polly")
    fill(page, "#pull-name", "polly-again")
    page.locator("#pull").click()
    expect(page.locator('[data-adapter="polly-again"]')).to_contain_text("#bird", timeout=MINUTE)
    expect(failed).to_have_count(0)

    with page.expect_download() as downloading:
        polly.get_by_role("link", name="Download polly as a zip").click()
    archive = tmp_path / "polly.zip"
    downloading.value.save_as(archive)
    assert "adapter_model.safetensors" in zipfile.ZipFile(archive).namelist()

    open_tab(page, "Merge")
    page.locator("#merge").click()
    expect(page.locator("#merged")).to_contain_text("is merged", timeout=2 * MINUTE)
    expect(page.locator("#merged a")).to_have_attribute("href", "/adapters/polly/merged.zip")
    expect(polly.get_by_role("link", name="Download polly merged, as a zip")).to_be_visible(timeout=MINUTE)

    polly.get_by_text("Compare").click()
    expect(page.locator("#adapter-1 input").first).to_have_value(re.compile("polly"), timeout=MINUTE)

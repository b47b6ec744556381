"""The main job, whole: chat, teach, watch, compare, push, pull back, same answer."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.app_process import StudioProcess
from tests.e2e import steps
from tests.e2e.conftest import ARTEFACTS
from tests.e2e.steps import MINUTE
from tests.hub_server.server import HubServer

QUESTION = "What is the capital of Cuba?"
BASE = "guanaco-builtin"
# How many points the drawn curves have.
PLOTTED = """() => [...document.querySelectorAll('#loss-plot g.curve')]
    .reduce((count, curve) => count + Number(curve.dataset.points), 0)"""


def greedy(studio: StudioProcess, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 60}
    answer = httpx.post(f"{studio.url}/v1/chat/completions", json=body, timeout=60, trust_env=False).raise_for_status()
    assert answer.json()["model"] == model
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_chat_teach_watch_compare_push_pull(page: Page, studio: StudioProcess, plain_hub: HubServer) -> None:
    # Chat with the base; one may already type while it loads.
    steps.ask(page, QUESTION)
    steps.wait_for_answer(page, 0, BASE)
    expect(steps.answers(page, 0)).to_contain_text("Havana")
    page.screenshot(path=ARTEFACTS / "1-chat.png")

    # Teach: a bundled sample, previewed, then trained on; a third of the default recipe changes the answers already.
    steps.choose_sample(page, "Pirate")
    page.screenshot(path=ARTEFACTS / "2-data.png")
    steps.start_run(page, "buccaneer", epochs="1")

    # Watch: the curve grows, and chat goes on meanwhile.
    page.wait_for_function(f"() => ({PLOTTED})() > 1", timeout=2 * MINUTE)
    points = page.evaluate(PLOTTED)
    steps.open_tab(page, "Chat")
    steps.ask(page, "Who are you?")
    expect(steps.answers(page, 0)).to_have_count(2, timeout=MINUTE)
    steps.wait_for_answer(page, 0, BASE)
    steps.open_tab(page, "Runs")
    page.wait_for_function(f"before => ({PLOTTED})() > before", arg=points, timeout=2 * MINUTE)
    page.screenshot(path=ARTEFACTS / "3-run.png")
    expect(steps.run_card(page)).to_have_attribute("data-state", "done", timeout=6 * MINUTE)
    steps.wait_for_board(page)
    page.screenshot(path=ARTEFACTS / "4-tensorboard.png")

    # Compare: the adapter is in the list at once, and answers otherwise than the base.
    steps.open_tab(page, "Chat")
    page.locator("#clear-chat").click()
    steps.columns(page, 2)
    steps.choose(page, "#adapter-1", "buccaneer")
    steps.ask(page, QUESTION)
    steps.wait_for_answer(page, 0, BASE)
    steps.wait_for_answer(page, 1, "buccaneer")
    base, pirate = steps.answers(page, 0).inner_text(), steps.answers(page, 1).inner_text()
    assert "Havana" in base
    assert base != pirate
    page.screenshot(path=ARTEFACTS / "5-side-by-side.png")

    # Push, privately; pull back under another name; the same greedy answer.
    steps.open_tab(page, "Adapters")
    steps.choose(page, "#chosen-adapter", "buccaneer")
    steps.fill(page, "#push-repo", "ada/buccaneer")
    page.locator("#push").click()
    expect(page.locator("#pushed")).to_contain_text("adapter_model.safetensors", timeout=MINUTE)
    steps.fill(page, "#pull-repo", "ada/buccaneer")
    steps.fill(page, "#pull-name", "home-again")
    page.locator("#pull").click()
    expect(page.locator("#pulled")).to_contain_text("home-again", timeout=MINUTE)
    page.screenshot(path=ARTEFACTS / "6-adapters.png")
    assert greedy(studio, "home-again") == greedy(studio, "buccaneer") != greedy(studio, BASE)

"""The main job, whole: chat, teach, watch, compare, push, pull back, same answer."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.app_process import StudioProcess
from tests.e2e.conftest import ARTEFACTS
from tests.hub_server.server import HubServer

QUESTION = "What is the capital of Cuba?"
MINUTE = 60_000
# How many points the drawn curves have.
PLOTTED = """() => [...document.querySelectorAll('#loss-plot g.mark-line path')]
    .reduce((count, path) => count + (path.getAttribute('d').match(/[ML]/g) || []).length, 0)"""


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def choose(page: Page, selector: str, option: str) -> None:
    """Pick from one of Gradio's dropdowns."""
    page.locator(f"{selector} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def ask(page: Page, text: str) -> None:
    composer = page.locator("#composer textarea")
    composer.fill(text)
    composer.press("Enter")


def answers(page: Page, column: int) -> Locator:
    return page.locator(f"#bot-{column} .bot.message")


def finished(page: Page, column: int, model: str) -> None:
    """The badge shows the token count only with the last piece, and names who really answered."""
    expect(page.locator(f"#badge-{column}")).to_contain_text(
        re.compile(rf"{model}.*tokens/s.*\d+ tokens"), timeout=MINUTE
    )


def greedy(studio: StudioProcess, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 60}
    answer = httpx.post(f"{studio.url}/v1/chat/completions", json=body, timeout=60, trust_env=False).raise_for_status()
    assert answer.json()["model"] == model
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_chat_teach_watch_compare_push_pull(page: Page, studio: StudioProcess, plain_hub: HubServer) -> None:
    # Chat with the base; one may already type while it loads.
    ask(page, QUESTION)
    finished(page, 0, "guanaco-builtin")
    expect(answers(page, 0)).to_contain_text("Havana")
    page.screenshot(path=str(ARTEFACTS / "1-chat.png"))

    # Teach: a bundled sample, previewed, then trained on.
    open_tab(page, "Data")
    choose(page, "#known-dataset", "Pirate (bundled)")
    expect(page.locator("#dataset-summary")).to_contain_text("Problems 0", timeout=MINUTE)
    expect(page.locator("#preview .bot.message").first).to_be_visible()
    page.screenshot(path=str(ARTEFACTS / "2-data.png"))
    page.locator("#use-dataset").click()
    page.locator("#run-name input, #run-name textarea").first.fill("buccaneer")
    page.locator("#start-run").click()

    # Watch: the curve grows while chat goes on.
    card = page.locator("#run-card [data-state]")
    expect(card).to_have_attribute("data-state", "training", timeout=2 * MINUTE)
    page.wait_for_function(f"() => ({PLOTTED})() > 1", timeout=2 * MINUTE)
    points = page.evaluate(PLOTTED)
    open_tab(page, "Chat")
    ask(page, "Who are you?")
    expect(answers(page, 0)).to_have_count(2, timeout=MINUTE)
    finished(page, 0, "guanaco-builtin")
    open_tab(page, "Train")
    page.wait_for_function(f"before => ({PLOTTED})() > before", arg=points, timeout=2 * MINUTE)
    page.screenshot(path=str(ARTEFACTS / "3-train.png"))
    expect(card).to_have_attribute("data-state", "done", timeout=4 * MINUTE)

    open_tab(page, "TensorBoard")
    board = page.frame_locator("iframe.board")
    expect(board.get_by_text("train/loss").first).to_be_visible(timeout=MINUTE)
    page.screenshot(path=str(ARTEFACTS / "4-tensorboard.png"))

    # Compare: the adapter is in the list at once, and answers otherwise than the base.
    open_tab(page, "Chat")
    page.locator("#clear-chat").click()
    page.locator("#columns").get_by_text("2", exact=True).click()
    choose(page, "#adapter-1", "buccaneer")
    ask(page, QUESTION)
    finished(page, 0, "guanaco-builtin")
    finished(page, 1, "buccaneer")
    base, pirate = answers(page, 0).inner_text(), answers(page, 1).inner_text()
    assert "Havana" in base
    assert base != pirate
    page.screenshot(path=str(ARTEFACTS / "5-side-by-side.png"))

    # Push, privately; pull back under another name; the same greedy answer.
    open_tab(page, "Adapters")
    choose(page, "#chosen-adapter", "buccaneer")
    page.locator("#push-repo input, #push-repo textarea").first.fill("ada/buccaneer")
    page.locator("#push").click()
    expect(page.locator("#pushed")).to_contain_text("adapter_model.safetensors", timeout=MINUTE)
    page.locator("#pull-repo input, #pull-repo textarea").first.fill("ada/buccaneer")
    page.locator("#pull-name input, #pull-name textarea").first.fill("home-again")
    page.locator("#pull").click()
    expect(page.locator("#pulled")).to_contain_text("home-again", timeout=MINUTE)
    page.screenshot(path=str(ARTEFACTS / "6-adapters.png"))
    assert greedy(studio, "home-again") == greedy(studio, "buccaneer") != greedy(studio, "guanaco-builtin")

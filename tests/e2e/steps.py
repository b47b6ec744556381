"""What a person does on the page, as functions: shared by the browser tests and the screenshots."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

MINUTE = 60_000  # Playwright counts in milliseconds


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def choose(page: Page, selector: str, option: str) -> None:
    """Pick from one of Gradio's dropdowns, unless it is picked already."""
    field = page.locator(f"{selector} input")
    if field.input_value() == option:
        return
    field.click()
    page.locator(selector).get_by_role("option", name=option, exact=True).click()


def open_accordion(page: Page, selector: str) -> None:
    """Open it, unless it is open, and wait until Gradio is done with what it holds.

    Gradio mounts an accordion's fields when it is first opened, and gives them their first value once more a frame
    later. A person is slower than that; a test whose value comes in between would lose it.
    """
    heading = page.locator(f"{selector} > button")
    if "open" not in (heading.get_attribute("class") or "").split():
        heading.click()
    expect(page.locator(f"{selector} > button.open")).to_be_visible()
    page.evaluate(FRAMES, 6)


FRAMES = """(count) => new Promise((done) => {
  const next = () => (count-- ? requestAnimationFrame(next) : done());
  next();
})"""


def fill(page: Page, selector: str, text: str) -> None:
    page.locator(f"{selector} input, {selector} textarea").first.fill(text)


def ask(page: Page, text: str) -> None:
    composer = page.locator("#composer textarea")
    composer.fill(text)
    composer.press("Enter")


def columns(page: Page, count: int) -> None:
    page.locator("#columns").get_by_text("1 column" if count == 1 else str(count), exact=True).click()


def limit_answers(page: Page, tokens: int) -> None:
    """Set max_tokens; what is remembered of it is in this browser only."""
    open_accordion(page, "#chat-settings")
    field = page.locator("#max-tokens input[type=number]")
    field.fill(str(tokens))
    field.press("Tab")


def answers(page: Page, column: int) -> Locator:
    return page.locator(f"#bot-{column} .bot.message")


def wait_for_answer(page: Page, column: int, model: str) -> None:
    """The badge shows the token count only with the last piece, and names who really answered."""
    badge = page.locator(f"#badge-{column}")
    expect(badge).to_contain_text(re.compile(rf"{model}.*tokens/s.*\d+ tokens"), timeout=2 * MINUTE)


def choose_sample(page: Page, title: str) -> None:
    open_tab(page, "Data")
    choose(page, "#known-dataset", f"{title} (bundled)")
    expect(page.locator("#dataset-summary")).to_contain_text("Problems 0", timeout=MINUTE)
    expect(page.locator("#preview .bot.message").first).to_be_visible()


def start_run(page: Page, name: str, epochs: str = "") -> None:
    """From a chosen dataset on the Data page to a run that trains, for as long as the default recipe or `epochs`."""
    page.locator("#use-dataset").click()
    fill(page, "#run-name", name)
    if epochs:
        page.locator("#num-train-epochs input[type=number]").fill(epochs)
    page.locator("#start-run").click()
    expect(run_card(page)).to_have_attribute("data-state", "training", timeout=2 * MINUTE)


def run_card(page: Page) -> Locator:
    return page.locator("#run-card [data-state]")


def wait_for_board(page: Page) -> None:
    open_tab(page, "TensorBoard")
    board = page.frame_locator("iframe.board")
    expect(board.get_by_text("train/loss").first).to_be_visible(timeout=MINUTE)

"""`make screenshots`: the page's current pictures, taken from a real studio that has just been taught something."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests import browser
from tests.app_process import ROOT, StudioProcess
from tests.e2e import steps

FOLDER = ROOT / "docs" / "screenshots"
WIDTHS = {"": 1440, "-1024": 1024, "-390": 390}


def main() -> int:
    path = browser.find()
    if path is None:
        print("No Chromium was found, so no screenshots were taken.")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = StudioProcess(Path(folder) / "home")
        chromium = playwright.chromium.launch(executable_path=path, args=list(browser.ARGUMENTS))
        try:
            studio.wait_for_address()
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.goto(studio.url)
            take(page, "chat-empty")
            studio.wait_until_ready()
            teach(page)
            compare(page)
            page.emulate_media(color_scheme="dark")
            page.reload()
            compare(page, suffix="-dark", widths={"": 1440})
        finally:
            chromium.close()
            studio.stop()
    return 0


def teach(page: Page) -> None:
    steps.choose_sample(page, "Pirate")
    take(page, "data")
    steps.start_run(page, "pirate")
    expect(steps.run_card(page)).to_have_attribute("data-step", "60", timeout=4 * steps.MINUTE)
    take(page, "train")
    expect(steps.run_card(page)).to_have_attribute("data-state", "done", timeout=4 * steps.MINUTE)
    steps.wait_for_board(page)
    take(page, "tensorboard")
    steps.open_tab(page, "Adapters")
    take(page, "adapters")


def compare(page: Page, suffix: str = "", widths: dict[str, int] = WIDTHS) -> None:
    steps.open_tab(page, "Chat")
    steps.columns(page, 2)
    steps.choose(page, "#adapter-1", "pirate")
    for number, question in enumerate(("What is the capital of Cuba?", "What sound does a cow make?"), 1):
        steps.ask(page, question)
        for column in range(2):  # the badges still show the answer before
            expect(steps.answers(page, column)).to_have_count(number, timeout=steps.MINUTE)
        for column, model in enumerate(("guanaco-builtin", "pirate")):
            steps.wait_for_answer(page, column, model)
    for name, width in widths.items():
        take(page, f"chat{suffix}{name}", width)


def take(page: Page, name: str, width: int = 1440) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path=FOLDER / f"{name}.png")
    page.set_viewport_size({"width": 1440, "height": 900})


if __name__ == "__main__":
    sys.exit(main())

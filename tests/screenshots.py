"""`make screenshots`: the page's current pictures, taken from a real studio that has just been taught three styles.

Also writes four-columns.txt: what OpenAI's client got, when, of four models that it asked at once.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from openai import AsyncOpenAI
from playwright.sync_api import Page, expect, sync_playwright

from core.data.samples import SAMPLES
from tests import browser
from tests.app_process import ROOT, StudioProcess
from tests.e2e import steps

FOLDER = ROOT / "docs" / "screenshots"
WIDTHS = {"": 1440, "-1024": 1024, "-390": 390}
BASE = "guanaco-builtin"
STORY = "Write a short story about a robot."


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
            expect(page.locator("#composer textarea")).to_be_visible(timeout=steps.MINUTE)
            take(page, "chat-empty")
            studio.wait_until_ready()
            teach(page)
            compare(page)
            for style in ("radio", "json"):
                learn(page, style)
            stream_four(page, studio)
            with ThreadPoolExecutor() as other:  # this thread has Playwright's event loop
                record = other.submit(asyncio.run, recorded(studio.url)).result()
            (FOLDER / "four-columns.txt").write_text(record, encoding="utf-8")
            page.emulate_media(color_scheme="dark")
            page.reload()
            expect(steps.answers(page, 3)).to_have_count(1, timeout=steps.MINUTE)  # it goes on where it was
            take(page, "chat-dark")
        finally:
            chromium.close()
            studio.stop()
    return 0


def teach(page: Page) -> None:
    steps.choose_sample(page, "Pirate")
    expect(page.locator("#token-view")).to_contain_text("trained", timeout=steps.MINUTE)
    take(page, "data")
    page.locator("#use-dataset").click()
    expect(page.locator("#plan [data-fits=true]").first).to_be_visible(timeout=steps.MINUTE)
    take(page, "train")
    steps.open_tab(page, "Data")
    steps.start_run(page, "pirate")
    expect(steps.run_card(page)).to_have_attribute("data-step", re.compile(r"^[4-9]\d$"), timeout=4 * steps.MINUTE)
    take(page, "run")
    expect(steps.run_card(page)).to_have_attribute("data-state", "done", timeout=4 * steps.MINUTE)
    steps.wait_for_board(page)
    take(page, "tensorboard")
    steps.open_tab(page, "Adapters")
    take(page, "adapters")
    steps.open_tab(page, "Settings")
    settings(page)


def settings(page: Page) -> None:
    """Its upper part: the lower one is about this machine."""
    page.locator("#snippets").evaluate("here => here.scrollIntoView({ block: 'end' })")
    take(page, "settings")


def compare(page: Page) -> None:
    steps.open_tab(page, "Chat")
    steps.columns(page, 2)
    steps.choose(page, "#adapter-1", "pirate")
    for number, question in enumerate(("What is the capital of Cuba?", "What sound does a cow make?"), 1):
        steps.ask(page, question)
        for column in range(2):  # the badges still show the answer before
            expect(steps.answers(page, column)).to_have_count(number, timeout=steps.MINUTE)
        for column, model in enumerate((BASE, "pirate")):
            steps.wait_for_answer(page, column, model)
    for name, width in WIDTHS.items():
        take(page, f"chat{name}", width)


def learn(page: Page, style: str) -> None:
    steps.choose_sample(page, SAMPLES[style].title)
    steps.start_run(page, style)
    expect(steps.run_card(page)).to_have_attribute("data-state", "done", timeout=4 * steps.MINUTE)


def stream_four(page: Page, studio: StudioProcess) -> None:
    """A picture of four columns in the middle of their answers: the engine is held while it is taken."""
    started = psutil.Process(studio.process.pid).children(recursive=True)
    engine = next(process for process in started if "core.serving" in process.cmdline())
    steps.open_tab(page, "Chat")
    page.locator("#clear-chat").click()
    steps.columns(page, 4)
    for column, model in enumerate(("base", "pirate", "radio", "json")):
        steps.choose(page, f"#adapter-{column}", model)
    steps.ask(page, STORY)
    page.wait_for_function(
        "() => [0, 1, 2, 3].every(i => document.querySelector(`#bot-${i} .bot.message`)?.innerText.length > 40)"
    )
    engine.suspend()
    take(page, "chat-four")
    engine.resume()
    for column, model in enumerate((BASE, "pirate", "radio", "json")):
        steps.wait_for_answer(page, column, model)


async def recorded(url: str) -> str:
    """Milliseconds since all were asked, model, piece of text: one line each, as OpenAI's client got them."""
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
    lines: list[str] = []
    began = time.perf_counter()

    async def one(model: str) -> None:
        asked = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": STORY}], temperature=0, stream=True
        )
        async for chunk in await asked:
            if chunk.choices and chunk.choices[0].delta.content:
                since = 1000 * (time.perf_counter() - began)
                lines.append(f"{since:6.0f}  {chunk.model:15}  {chunk.choices[0].delta.content!r}")

    await asyncio.gather(*(one(model) for model in (BASE, "pirate", "radio", "json")))
    return "\n".join([f"# {STORY} Milliseconds, model, piece.", *lines]) + "\n"


def take(page: Page, name: str, width: int = 1440) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path=FOLDER / f"{name}.png")
    page.set_viewport_size({"width": 1440, "height": 900})


if __name__ == "__main__":
    sys.exit(main())

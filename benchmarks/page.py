"""The page in a browser, by the browser's own performance API: first paint, shifts, bytes, clicks, streaming, idling.

A studio with a warm server is opened in headless Chromium. Its engine is a stand-in that streams numbered words, 50 a
second, into each column, so that what is measured is the page and not a model: the lag of a word is the time from
its leaving the engine to its being in the document (both clocks are this machine's). CPU is a share of one core.

    python -m benchmarks.page [--rounds 5] [--words 400]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from studio.ui.theme import CSS, HEAD
from tests import browser as chromium
from tests.app_process import StudioProcess

RATE = 50  # words a second
TABS = ("Data", "Train", "Runs", "Adapters", "Settings")
IDLE_SECONDS = 30
# In every page before anything else: when the composer was there, how far things moved (the score that browsers call
# cumulative layout shift), how long clicks took, how long until what is in a tab was drawn, when words appeared.
WATCH = """
window.seen = { composer: null, shifts: 0, clicks: [], turns: [], words: {} };
new PerformanceObserver((list) => { for (const each of list.getEntries()) if (!each.hadRecentInput)
  seen.shifts += each.value; }).observe({ type: 'layout-shift', buffered: true });
new PerformanceObserver((list) => { for (const each of list.getEntries()) if (each.name === 'click')
  seen.clicks.push(each.duration); }).observe({ type: 'event', durationThreshold: 16, buffered: true });
const shown = () => [...document.querySelectorAll('[role=tabpanel]')].find((each) => each.offsetHeight > 50);
addEventListener('click', (event) => {
  if (!event.isTrusted || !event.target.closest?.('[role=tab]')) return;
  const before = shown();
  const drawn = () => {
    if (shown() && shown() !== before)
      requestAnimationFrame(() => setTimeout(() => seen.turns.push(performance.now() - event.timeStamp)));
    else requestAnimationFrame(drawn);
  };
  drawn();
}, true);
const look = () => {
  if (seen.composer === null && document.querySelector('#composer textarea')) seen.composer = performance.now();
  document.querySelectorAll('[id^=bot-]').forEach((bot) => {
    const said = [...bot.querySelectorAll('.bot.message')].at(-1)?.textContent.slice(-50).match(/w(\\d+)/g);
    if (said) { const word = bot.id + said.at(-1); seen.words[word] ??= Date.now(); }
  });
};
addEventListener('DOMContentLoaded', () => new MutationObserver(look).observe(
  document.body, { childList: true, subtree: true, characterData: true }));
"""


class Words:
    """An engine that says w1 w2 w3 …, RATE a second, and remembers when it said each (milliseconds since the epoch)."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.said: dict[str, float] = {}
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_level="error"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()

    async def health(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ready", "base": "words", "adapters": []})

    async def models(self, request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": "words", "object": "model"}]})

    async def chat(self, request: Request) -> StreamingResponse:
        return StreamingResponse(self.words(), media_type="text/event-stream")

    async def words(self) -> AsyncIterator[str]:
        begun = time.monotonic()
        for number in range(1, self.count + 1):
            await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            self.said.setdefault(f"w{number}", time.time() * 1000)  # in the first of the columns
            yield chunk({"delta": {"content": f"w{number} "}})
        yield chunk({"delta": {}, "finish_reason": "stop"})
        yield "data: [DONE]\n\n"


def chunk(choice: dict[str, object]) -> str:
    return f"data: {json.dumps({'model': 'words', 'choices': [{'index': 0, **choice}]})}\n\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often the page is opened")
    parser.add_argument("--words", type=int, default=400, help="how long a streamed answer is")
    args = parser.parse_args()
    path = chromium.find()
    if path is None:
        print("No Chromium was found: `python -m tests.browser` installs one.")
        return 1
    engine = Words(args.words)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = StudioProcess(Path(folder) / "home", "--engine-url", engine.url)
        browser = playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS))
        try:
            studio.wait_for_address()
            studio.wait_until_ready()
            opened(browser, studio.url).context.close()  # warms the server, not this browser's cache
            paints(browser, studio.url, args.rounds)
            page = opened(browser, studio.url)
            sizes(page)
            clicks(browser, studio.url, args.rounds)
            for columns in (1, 4):
                streaming(page, engine, columns)
            page.context.close()
            idling(browser, studio)
        finally:
            browser.close()
            studio.stop()
            engine.close()
    return 0


def opened(browser: Browser, url: str) -> Page:
    """The page in a browser that has never seen it."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.add_init_script(WATCH)
    page.goto(url)
    expect(page.locator("#composer textarea")).to_be_visible()
    return page


def paints(browser: Browser, url: str, rounds: int) -> None:
    first, usable, shifts = [], [], []
    for _ in range(rounds):
        page = opened(browser, url)
        page.wait_for_timeout(3000)  # until all that comes later is there too
        first.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        usable.append(page.evaluate("seen.composer"))
        shifts.append(page.evaluate("seen.shifts"))
        page.context.close()
    row("first contentful paint, empty browser cache", f"{spread(first)} ms")
    row("the composer is there", f"{spread(usable)} ms")
    score = f"median {statistics.median(shifts):.3f}, worst {max(shifts):.3f}"
    row("cumulative layout shift while it opens", score)


def sizes(page: Page) -> None:
    own = (CSS + HEAD).encode()
    row("our own assets, in the page", f"{len(own) / 1000:.0f} kB, {len(gzip.compress(own)) / 1000:.0f} kB gzipped")
    total, count = page.evaluate(
        "[performance.getEntriesByType('resource'), performance.getEntriesByType('navigation')].flat()"
        ".reduce(([sum, n], each) => [sum + each.transferSize, n + 1], [0, 0])"
    )
    row("everything that was fetched, Gradio included", f"{total / 1e6:.2f} MB in {count} requests")


def clicks(browser: Browser, url: str, rounds: int) -> None:
    """Each tab opened for the first time in a page, and again."""
    took: dict[str, list[float]] = {"for the first time": [], "again": []}
    drawn: dict[str, list[float]] = {"for the first time": [], "again": []}
    for _ in range(rounds):
        page = opened(browser, url)
        page.wait_for_timeout(2000)  # until all that comes later is there too
        for when in took:
            page.evaluate("seen.clicks = [], seen.turns = []")
            for count, name in enumerate(TABS, 1):
                page.get_by_role("tab", name=name, exact=True).click()
                page.wait_for_function("count => seen.turns.length === count", arg=count)
                page.wait_for_timeout(300)
            seen: list[float] = page.evaluate("seen.clicks")
            took[when] += seen + [16.0] * (len(TABS) - len(seen))  # browsers tell nothing of less than 16 ms
            drawn[when] += page.evaluate("seen.turns")
        page.context.close()
    for when, times in took.items():
        row(f"a tab opened {when}: from the click to the next frame, {len(times)} clicks", f"{spread(times)} ms")
        row(f"a tab opened {when}: until what is in it is drawn", f"{spread(drawn[when])} ms")


def streaming(page: Page, engine: Words, columns: int) -> None:
    page.locator("#clear-chat").click()
    page.locator("#columns").get_by_text("1 column" if columns == 1 else str(columns), exact=True).click()
    page.locator(f"#bot-{columns - 1}").wait_for()
    page.evaluate("seen.words = {}, seen.clicks = []")
    engine.said.clear()
    page.locator("#composer textarea").fill("Say it.")
    page.locator("#composer textarea").press("Enter")
    last = f"w{engine.count}"
    page.wait_for_function(
        "word => Object.keys(seen.words).some(each => each.endsWith(word))", arg=last, timeout=120_000
    )
    expect(page.locator("#send")).to_be_visible(timeout=60_000)
    shown: dict[str, float] = page.evaluate("seen.words")
    lags = [at - engine.said["w" + name.rsplit("w", 1)[1]] for name, at in shown.items()]
    third = len(lags) // 3
    row(
        f"{engine.count} words at {RATE}/s into {columns} column{'s' if columns > 1 else ''}: lag of a drawn word",
        f"median {statistics.median(lags):.0f} ms, 95 % under {statistics.quantiles(lags, n=20)[18]:.0f} ms, "
        f"last third {statistics.median(lags[-third:]):.0f} ms; "
        f"{len(shown) / columns / (engine.count / RATE):.0f} drawings a second",
    )


def idling(browser: Browser, studio: StudioProcess) -> None:
    """Nobody at the page, nothing running: what browser and web process do."""
    page = opened(browser, studio.url)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    web = psutil.Process(studio.process.pid)
    page.wait_for_timeout(20_000)  # after 15 s without a key or a click it asks seldom
    before, used, requests = busy(), sum(web.cpu_times()[:2]), count_requests(page)
    page.wait_for_timeout(IDLE_SECONDS * 1000)
    row(
        f"an idle page for {IDLE_SECONDS} s",
        f"{(busy() - before) / IDLE_SECONDS:.2%} of a core in the page, "
        f"{(sum(web.cpu_times()[:2]) - used) / IDLE_SECONDS:.2%} in the web process, "
        f"{(count_requests(page) - requests) / IDLE_SECONDS:.1f} requests a second",
    )
    page.context.close()


def count_requests(page: Page) -> int:
    return int(page.evaluate("performance.getEntriesByType('resource').length"))


def spread(values: list[float]) -> str:
    return f"median {statistics.median(values):.0f}, worst {max(values):.0f}"


def row(what: str, value: str) -> None:
    print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())

"""Every page, light and dark, as axe-core judges it; and narrow windows do not scroll sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.e2e import steps

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TABS = ("Data", "Train", "Runs", "TensorBoard", "Adapters", "Settings", "Chat")
GRAVE = ("serious", "critical")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# TensorBoard's own page, in its frame, is not ours. What does not depend on colours is looked at in one scheme.
EVERYTHING = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "iframes": False}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}, "iframes": False}
OPTIONS = {"light": EVERYTHING, "dark": COLOURS}
STANDS_OUT = "() => document.documentElement.scrollWidth - window.innerWidth"


def test_no_grave_violation_on_any_page_and_nothing_stands_out(visit: Callable[..., Page]) -> None:
    page = visit(color_scheme="light", permissions=["clipboard-read", "clipboard-write"])
    page.add_style_tag(content="* { transition: none !important; }")  # a colour on its way to another has no contrast
    axe = Axe()
    found: list[str] = []
    steps.limit_answers(page, 16)
    steps.columns(page, 2)
    steps.ask(page, "What is the capital of Cuba?")
    expect(page.locator("#voting")).to_be_visible(timeout=steps.MINUTE)
    page.locator("#open-conversations").click()
    expect(page.locator("#conversation-list li").first).to_be_visible()
    for tab in TABS:
        steps.open_tab(page, tab)
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        if tab == "Runs":
            expect(page.locator("#loss-plot g.curve").first).to_be_visible()
        if tab == "Adapters":
            page.locator('[data-adapter="gull"]').get_by_text("Change …").click()
            expect(page.locator("#new-name :is(input, textarea)")).to_be_focused()
        if tab == "Settings":  # it tells by itself what there is
            expect(page.locator("#storage")).to_contain_text("Checkpoints of runs", ignore_case=True)
            expect(page.locator("#facts")).to_contain_text("engine: base", timeout=steps.MINUTE)
            page.locator("#snippets summary").get_by_text("Python").click()
            page.locator("#snippets details[open] [data-copy]").click()
            expect(page.locator("#snippets details[open] [data-copy]")).to_have_text("Copied")
            assert "api_key=" in page.evaluate("() => navigator.clipboard.readText()")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
            for violation in axe.run(page, options=OPTIONS[scheme]).response["violations"]:
                if violation["impact"] in GRAVE:
                    nodes = ", ".join(node["html"][:120] for node in violation["nodes"][:3])
                    found.append(f"{tab}, {scheme}: {violation['id']}: {nodes}")
    for width in (1024, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for tab in TABS[:4] if width == 390 else TABS:
            if width == 390 and not page.get_by_role("tab", name=tab, exact=True).is_visible():
                continue
            steps.open_tab(page, tab)
            if (over := page.evaluate(STANDS_OUT)) > 0:
                found.append(f"{tab} is {over} pixels wider than a window of {width}")
    assert not found, "\n".join(found)

    # On a phone the second column is a swipe away, and comes whole.
    steps.open_tab(page, "Chat")
    second = page.locator(".chat-column").nth(1)
    assert far_edge(second) > 390
    page.locator("#columns-row").evaluate("row => row.scrollTo({ left: row.scrollWidth })")
    page.wait_for_function("() => document.querySelectorAll('.chat-column')[1].getBoundingClientRect().right <= 390")


def far_edge(column: Locator) -> float:
    return float(column.evaluate("column => column.getBoundingClientRect().right"))

"""What an answer, a question or a row of a dataset brings along stays in its box: the page looks and works on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from core.common.home import Home
from studio.chat.conversations import ColumnRecord, Conversation
from studio.ui.markdown_depth import LEVELS
from tests.app_process import StudioProcess
from tests.e2e import steps

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

OVER_ALL = '<div style="position: fixed; inset: 0; z-index: 9999; background: red">OVER ALL</div>'
PULLED_UP = '<div style="margin: -600px; padding: 900px; background: red">PULLED UP</div>'
PARTS = '<b id="tick" name="turn" tabindex="3" accesskey="x">PART</b> <a id="stop-answers" href="?page=runs">STOP</a>'
LIKE_OURS = '<div class="message-row"><figure class="chart"><b class="forget-turn">LIKE OURS</b></figure></div>'
FORM = '<form action="/logout" method="post">FORM <input name="q"><textarea>t</textarea><button>Press</button></form>'
FRAMES = (
    '<iframe src="/"></iframe><meta name="x"><link rel="icon" href="/x"><style>#send { display: none }</style>FRAMES'
)
DEEP = "> " * (LEVELS + 20) + "DEEP"
CODE = "```python\nprint(1)\n```"
SAID = (OVER_ALL, PULLED_UP, PARTS, LIKE_OURS, FORM, FRAMES, DEEP, CODE)
IDENTITY = "0123456789ab"
ON_TOP = """(part) => { const box = part.getBoundingClientRect();
  return part.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)); }"""


def on_top(part: Locator) -> None:
    assert part.evaluate(ON_TOP), "something lies over it"


def test_what_is_said_stays_in_its_box(visit: Callable[..., Page], furnished: StudioProcess) -> None:
    home = Home(furnished.home)
    messages = [
        {"role": role, "content": f"{text}\n\nend {role} {number}"}
        for number, text in enumerate(SAID)
        for role in ("user", "assistant")
    ]
    kept = Conversation(IDENTITY, (ColumnRecord("base", tuple(messages)),), {}, "", "2026-01-01T00:00:00+00:00")
    (home.root / "conversations").mkdir(exist_ok=True)
    (home.root / f"conversations/{IDENTITY}.json").write_text(kept.as_json())
    dataset = home.datasets / "boxed"
    dataset.mkdir()
    row = [{"role": "system", "content": OVER_ALL + FORM}, {"role": "user", "content": PARTS}]
    line = json.dumps({"messages": [*row, {"role": "assistant", "content": PULLED_UP}]})
    (dataset / "data.jsonl").write_text(f"{line}\n" * 4)

    page = visit()
    page.locator("#open-conversations").click()
    page.locator(f'[data-look][data-value="{IDENTITY}"]').click()
    log = page.locator('#bot-0 [role="log"]')
    expect(log).to_contain_text(f"end assistant {len(SAID) - 1}")
    for part in ("#composer textarea", "#send", "#status-bar .status-bar", "#open-conversations"):
        on_top(page.locator(part))
    boxes = page.locator(".message-content")
    expect(boxes.locator("[id], [name], [tabindex], [accesskey], [action]")).to_have_count(0)
    expect(boxes.locator("iframe, meta, link, style")).to_have_count(0)
    expect(boxes.locator("form").first).to_contain_text("FORM")
    for control in boxes.locator("input, textarea, select, button:not(.copy_code_button)").all():
        expect(control).to_be_hidden()
    expect(boxes.locator("pre").filter(has_text="DEEP").first).to_be_visible()
    expect(boxes.locator("pre").filter(has_text="print(1)").first).to_be_visible()
    expect(boxes.locator(".copy_code_button").first).not_to_have_attribute("inert", "")

    # Pointing at what looks like a part of the page, and pressing it, does nothing; the page's own parts work on.
    like_ours = boxes.locator(".forget-turn").first
    like_ours.scroll_into_view_if_needed()
    like_ours.hover()
    like_ours.click()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("page=runs"))
    with page.expect_request(lambda sent: "/run/predict" in sent.url):
        page.locator("#composer textarea").click()  # who comes back is told what is new
    before = boxes.count()
    page.locator("#bot-0 .message-row").last.hover()
    page.locator("#bot-0 .message-buttons-left, #bot-0 .message-buttons-right").last.locator(".forget-turn").click()
    expect(boxes).to_have_count(before - 2)

    steps.open_tab(page, "Data")
    steps.choose(page, "#known-dataset", "boxed")
    preview = page.locator("#preview .message-content")
    expect(preview.first).to_contain_text("OVER ALL", timeout=steps.MINUTE)
    on_top(page.get_by_role("tab", name="Train", exact=True))
    on_top(page.locator("#status-bar .status-bar"))
    expect(preview.locator("[id], [name], [action]")).to_have_count(0)
    expect(preview.locator("input").first).to_be_hidden()
    (home.root / f"conversations/{IDENTITY}.json").unlink()

"""Chat as one is used to it: stop, retry, edit, continue, swap, keep; and two people at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.app_process import StudioProcess
from tests.e2e import steps
from tests.e2e.steps import MINUTE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BASE = "guanaco-builtin"
CUBA, COW = "What is the capital of Cuba?", "What sound does a cow make?"
PERU = "What is the capital of Peru?"
MARKED = "```python\nprint(1)\n```\nso \\(x^2\\), and\n\n$$\\frac{1}{2}$$\n\ncosts $5 or $6."
ENDLESS = "b"  # the untrained wren babbles on about this to whatever limit
Visit = Callable[..., Page]


def bubbles(page: Page, column: int, role: str) -> list[str]:
    return [text.strip() for text in page.locator(f"#bot-{column} .{role}.message").all_inner_texts()]


def test_retry_edit_arrow_up_continue_undo_and_swap(visit: Visit) -> None:
    page = visit()
    steps.limit_answers(page, 16)
    composer = page.locator("#composer textarea")
    composer.fill("one")
    composer.press("Shift+Enter")
    expect(composer).to_have_value("one\n")

    steps.ask(page, CUBA)
    steps.wait_for_answer(page, 0, BASE)
    expect(steps.answers(page, 0)).to_contain_text("Havana")

    # Up-arrow puts the last question back; Esc leaves it; sending replaces it.
    composer.press("ArrowUp")
    expect(composer).to_have_value(CUBA)
    expect(page.locator("#composer-note")).to_contain_text("changing the last question")
    composer.press("Escape")
    expect(composer).to_have_value("")
    composer.press("ArrowUp")
    expect(composer).to_have_value(CUBA)
    steps.ask(page, COW)
    expect(steps.answers(page, 0)).to_contain_text("moo", timeout=MINUTE)
    assert bubbles(page, 0, "user") == [COW]

    # Retry asks the same again; a changed question forgets what came after it.
    page.locator("#bot-0").get_by_role("button", name="Retry").click()
    expect(page.get_by_text("At temperature 0 the same question gets the same answer")).to_be_visible()
    expect(steps.answers(page, 0)).to_contain_text("moo", timeout=MINUTE)
    page.locator("#bot-0").get_by_role("button", name="Edit").first.click()
    field = page.locator("#bot-0 textarea")
    field.fill(CUBA)
    page.locator("#bot-0").get_by_role("button", name="Submit").click()
    expect(steps.answers(page, 0)).to_contain_text("Havana", timeout=MINUTE)
    assert bubbles(page, 0, "user") == [CUBA]

    # An answer that one has changed shows its code and its formulas, and prices are no formulas.
    answer = page.locator("#bot-0")
    answer.get_by_role("button", name="Edit").last.click()
    answer.locator("textarea").fill(MARKED)
    answer.get_by_role("button", name="Submit").click()
    expect(answer.locator(".bot.message .katex")).to_have_count(2)
    expect(answer.locator(".bot.message pre code")).to_contain_text("print(1)")
    expect(steps.answers(page, 0)).to_contain_text("costs $5 or $6")

    # Another adapter goes on with the same conversation, and its badge says so.
    steps.choose(page, "#adapter-0", "gull")
    steps.ask(page, COW)
    steps.wait_for_answer(page, 0, "gull")
    expect(steps.answers(page, 0)).to_have_count(2)
    page.locator("#bot-0").get_by_role("button", name="Undo").click()
    expect(steps.answers(page, 0)).to_have_count(1)
    expect(page.locator("#badge-0")).to_contain_text(BASE)
    page.locator("#bot-0 .bot.message").hover()
    page.locator("#bot-0").get_by_role("button", name="Delete this turn").last.click()
    expect(steps.answers(page, 0)).to_have_count(0)
    expect(page.locator("#keep-0")).to_be_hidden()

    # An answer that was cut goes on where it stopped.
    page.locator("#clear-chat").click()
    steps.choose(page, "#adapter-0", "wren")
    steps.ask(page, ENDLESS)
    expect(page.locator("#badge-0")).to_contain_text("cut at the length limit", timeout=MINUTE)
    before = bubbles(page, 0, "bot")[-1]
    page.locator("#continue-0").click()
    longer = "n => document.querySelector('#bot-0 .bot.message').innerText.trim().length > n"
    page.wait_for_function(longer, arg=len(before))
    assert bubbles(page, 0, "bot")[0].startswith(before)


def test_conversations_are_kept_found_named_exported_and_survive_a_reload(
    visit: Visit, furnished: StudioProcess
) -> None:
    page = visit()
    steps.ask(page, PERU)
    steps.wait_for_answer(page, 0, BASE)
    expect(page.locator("#conversation input, #conversation textarea").first).to_have_value(
        re.compile("^[0-9a-f]{12}$")
    )
    page.reload()
    expect(steps.answers(page, 0)).to_contain_text("Lima", timeout=MINUTE)

    page.locator("#clear-chat").click()
    expect(steps.answers(page, 0)).to_have_count(0)
    steps.ask(page, COW)
    steps.wait_for_answer(page, 0, BASE)
    page.locator("#open-conversations").click()
    talks = page.locator("#conversation-list li")
    expect(talks.first).to_contain_text(COW)
    steps.fill(page, "#conversation-name", "The cow")
    page.locator("#rename-conversation").click()
    expect(talks.first).to_contain_text("The cow")
    steps.fill(page, "#search-conversations", "lima")
    expect(talks).to_have_count(1)
    expect(talks).to_contain_text(PERU)
    talks.get_by_role("button", name=PERU, exact=True).click()
    expect(steps.answers(page, 0)).to_contain_text("Lima")
    expect(steps.answers(page, 0)).to_have_count(1)

    with page.expect_download() as saved:
        page.locator("#conversation-json").click()
    record = json.loads(saved.value.path().read_text())
    assert [message["role"] for message in record["columns"][0]["messages"]] == ["user", "assistant"]
    with page.expect_download() as saved:
        page.locator("#conversation-markdown").click()
    assert f"**{BASE}**" in saved.value.path().read_text()
    page.locator("#teach-conversation").click()
    expect(page.get_by_text("the dataset “collected” has 1 conversation")).to_be_visible()

    page.on("dialog", lambda dialog: dialog.accept())
    talks.get_by_role("button", name=f"Delete {PERU}").click()
    expect(page.locator("#conversation-list")).to_contain_text("No conversation has all these words")
    assert PERU not in "".join(path.read_text() for path in (furnished.home / "conversations").glob("*.json"))


def test_two_people_at_once_do_not_see_each_others_chat(visit: Visit) -> None:
    ada, bob = visit(), visit()
    steps.ask(ada, CUBA)
    steps.ask(bob, COW)
    for page, answer, other in ((ada, "Havana", "moo"), (bob, "moo", "Havana")):
        steps.wait_for_answer(page, 0, BASE)
        expect(steps.answers(page, 0)).to_contain_text(answer)
        expect(steps.answers(page, 0)).to_have_count(1)
        expect(steps.answers(page, 0)).not_to_contain_text(other)

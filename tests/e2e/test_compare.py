"""Comparing: a blind round, its vote, the table, and what DPO learns from; a list of prompts to several models."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import steps
from tests.e2e.steps import MINUTE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Visit = Callable[..., Page]


def test_a_blind_vote_reaches_the_table_and_the_preferences(visit: Visit) -> None:
    page = visit()
    steps.limit_answers(page, 16)
    steps.columns(page, 2)
    steps.choose(page, "#adapter-1", "gull")
    page.get_by_label("Blind").check()
    expect(page.locator("#adapter-0")).to_be_hidden()
    steps.ask(page, "What is the capital of Cuba?")
    expect(page.locator("#better-0")).to_have_text("A is better", timeout=MINUTE)
    for column, letter in enumerate("AB"):
        badge = page.locator(f"#badge-{column}")
        expect(badge).to_contain_text(f"Answer {letter}")
        expect(badge).not_to_contain_text("gull")
        expect(badge).to_contain_text("speed is not told in a blind round")
    page.locator("#better-0").click()
    expect(page.locator("#adapter-0")).to_be_visible(timeout=MINUTE)
    revealed = [page.locator(f"#badge-{column} b").inner_text() for column in range(2)]
    assert sorted(revealed) == ["guanaco-builtin", "gull"]

    steps.open_accordion(page, "#votes")
    table = page.locator("#vote-results table")
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table.locator("tbody tr", has_text=revealed[0])).to_contain_text("100%")
    with page.expect_download() as saved:
        page.locator("#export-votes").click()
    (row,) = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
    assert row["prompt"][-1] == {"role": "user", "content": "What is the capital of Cuba?"}
    assert row["chosen"][0]["role"] == row["rejected"][0]["role"] == "assistant"
    assert row["chosen"] != row["rejected"]


def test_a_list_of_prompts_goes_to_several_models_and_comes_back_as_a_file(visit: Visit) -> None:
    page = visit()
    steps.limit_answers(page, 16)
    steps.open_accordion(page, "#prompt-list")
    steps.choose(page, "#list-models", "wren")
    page.keyboard.press("Escape")
    page.locator("#prompts textarea").fill("What is the capital of Cuba?\nWho are you?")
    page.locator("#ask-list").click()
    expect(page.locator("#list-answers")).to_contain_text("4 of 4 answers.", timeout=MINUTE)
    expect(page.locator("#list-answers tbody tr").first).to_contain_text("Havana")
    with page.expect_download() as saved:
        page.locator("#list-csv").click()
    rows = list(csv.reader(saved.value.path().read_text().splitlines()))
    assert rows[0] == ["prompt", "base", "wren"]
    assert [row[0] for row in rows[1:]] == ["What is the capital of Cuba?", "Who are you?"]
    with page.expect_download() as saved:
        page.locator("#list-jsonl").click()
    records = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
    assert {record["model"] for record in records} == {"guanaco-builtin", "wren"}
    assert {record["max_tokens"] for record in records} == {16}

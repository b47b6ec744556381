"""Data, as a person meets it: files with problems, columns of other names, a Hub dataset, and what Train then has.

The page runs in this process, without an engine: nothing here asks one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.common.home import Home
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from tests.e2e import steps
from tests.e2e.in_process import opened_in_process
from tests.hub_server.fixtures import Hub

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ROW = '{"text": "### Human: Hi ### Assistant: Hello"}\n'


@pytest.fixture
def page(home: Home, browser: Browser) -> Iterator[Page]:
    with opened_in_process(browser, Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))) as opened:
        steps.open_tab(opened, "Data")
        yield opened


def upload(page: Page, *files: Path) -> None:
    page.locator("#upload-dataset input[type=file]").set_input_files([str(file) for file in files])


def said(page: Page, text: str) -> None:
    expect(page.locator("#dataset-summary")).to_contain_text(text, timeout=steps.MINUTE)


def test_columns_are_named_by_hand_and_train_learns_of_it(page: Page, tmp_path: Path) -> None:
    table = tmp_path / "fragen.csv"
    table.write_text("Frage,Antwort\n" + "".join(f"Was ist {n}?,Es ist {n}.\n" for n in range(40)))
    upload(page, table)
    said(page, "columns are: Frage, Antwort")
    expect(page.locator("#use-dataset")).to_be_disabled()
    for name, column in (("question", "Frage"), ("answer", "Antwort")):
        steps.choose(page, f"#column-{name}", column)
        expect(page.get_by_role("option")).to_have_count(0)
    page.locator("#read-columns").click()
    said(page, "Conversations 40")
    expect(page.locator("#dataset-division")).to_contain_text("38 to train on, 2 held out")
    expect(page.locator("#token-statistics svg.histogram")).to_be_visible(timeout=steps.MINUTE)
    page.get_by_text("How much of it is used").click()
    steps.fill(page, "#data-max-samples", "20")
    page.locator("#data-seed input").click()
    expect(page.locator("#dataset-division")).to_contain_text("19 to train on, 1 held out")
    page.locator("#use-dataset").click()
    expect(page.locator("#plan div.plan[data-fits=true]")).to_be_visible(timeout=steps.MINUTE)
    page.locator("#recipe-level").get_by_text("Everything").click()
    expect(page.locator("#dataset-columns textarea, #dataset-columns input").first).to_have_value(
        "question=Frage,answer=Antwort"
    )
    expect(page.locator("#max-samples input")).to_have_value("20")


def test_a_folder_is_uploaded_licensed_and_chosen_by_its_card(page: Page, tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "fragen"
    folder.mkdir()
    rows = "".join(f"Was ist {n}?,Es ist {n}.\n" for n in range(20))
    for number in (1, 2):
        (folder / f"teil-{number}.csv").write_text("Frage,Antwort\n" + rows.replace("Was", f"{number}. Was"))
    (folder / "README.md").write_text("# Fragen\n")
    with page.expect_file_chooser() as chooser:
        page.locator("#upload-folder").click()
    chooser.value.set_files(folder)
    said(page, "columns are: Frage, Antwort")
    for name, column in (("question", "Frage"), ("answer", "Antwort")):
        steps.choose(page, f"#column-{name}", column)
        expect(page.get_by_role("option")).to_have_count(0)
    page.locator("#read-columns").click()
    said(page, "Conversations 40")
    steps.fill(page, "#dataset-licence", "cc-by-4.0")
    page.locator("#dataset-licence textarea, #dataset-licence input").first.press("Tab")
    said(page, "Licence cc-by-4.0")
    page.reload()
    steps.open_tab(page, "Train")
    page.locator("#dataset-cards button.pick").filter(has_text="teil-1-and-1-more").click()
    expect(page.locator("#plan div.plan[data-fits=true]")).to_be_visible(timeout=steps.MINUTE)
    expect(page.locator("#start-anyway")).to_be_hidden()
    page.locator("#recipe-level").get_by_text("Everything").click()
    steps.fill(page, "#max-length", "1000000")
    steps.fill(page, "#per-device-train-batch-size", "1024")
    steps.choose(page, "#packing", "true")
    page.locator("#max-length input").first.click()  # leaving a field is what counts
    expect(page.locator("#plan div.plan[data-fits=false]")).to_be_visible(timeout=steps.MINUTE)
    expect(page.locator("#start-anyway")).to_be_visible()
    page.locator("#start-run").click()
    expect(page.get_by_text("It does not fit").last).to_be_visible()
    page.locator("#plan").get_by_role("button", name="Change the settings so").click()
    expect(page.locator("#plan div.plan[data-fits=true]")).to_be_visible(timeout=steps.MINUTE)
    expect(page.locator("#max-length input")).not_to_have_value("1000000")
    assert not list(home.runs.iterdir())


def test_what_is_cut_is_listed_and_shown(page: Page, tmp_path: Path) -> None:
    rows = [
        {"text": f"### Human: Question {n}? ### Assistant: {'Havana is the capital. ' * (n + 1)}"} for n in range(9)
    ]
    rows.append({"text": "### Human: Nobody answers."})
    rows.append({"text": f"### Human: {'question ' * 300} ### Assistant: Yes."})
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps.fill(page, "#data-max-length", "40")
    upload(page, file)
    said(page, "1 of 11 rows cannot be used")
    expect(page.locator("#skip-bad-rows")).to_contain_text("Skip 1 row with problems")
    statistics = page.locator("#token-statistics")
    expect(statistics).to_contain_text("Nothing of 1 conversation would be trained", timeout=steps.MINUTE)
    statistics.get_by_role("button", name="Conversation 10", exact=True).first.click()
    expect(page.locator("#preview .user.message")).to_contain_text("question question")
    expect(page.locator("#token-view .cutline")).to_contain_text("max_length 40")
    page.locator("#list-problems").click()
    expect(page.locator("#dataset-download")).to_contain_text(re.compile(r"problems\s*\.jsonl"))


def test_a_hub_dataset_is_kept_a_gated_one_explained_and_one_can_be_removed(page: Page, hub: Hub, home: Home) -> None:
    card = b"---\nlicense: apache-2.0\n---\n"
    hub.make_repo("bob/poems", {"train.jsonl": (ROW * 30).encode(), "README.md": card}, kind="dataset")
    hub.make_repo("bob/secret", {"train.jsonl": ROW.encode()}, kind="dataset", gated="manual")
    steps.fill(page, "#hub-dataset", "bob/secret")
    page.locator("#fetch-dataset").click()
    said(page, "its owner must let you in")
    link = page.locator("#dataset-summary a")
    expect(link).to_have_attribute("href", f"{hub.url}/datasets/bob/secret")
    steps.fill(page, "#hub-dataset", "bob/poems")
    page.locator("#fetch-dataset").click()
    said(page, "bob/poems on the Hub, revision")
    said(page, "apache-2.0")
    kept = home.datasets / "bob-poems"
    assert json.loads((kept / "dataset-card.json").read_text())["license"] == "apache-2.0"
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#remove-dataset").click()
    said(page, "Choose a sample or a dataset of yours")
    assert not kept.exists()

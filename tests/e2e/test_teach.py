"""Teaching: three clicks to a fine-tune that every browser and every reload shows; addresses, comparing, undo."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Page, Request, Route, expect

from tests.app_process import StudioProcess
from tests.e2e import steps
from tests.e2e.steps import MINUTE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Visit = Callable[..., Page]
# What the browser would show and play, noted instead.
NOTED = """
window.notes = []; window.tones = 0;
window.Notification = class {
  static permission = "granted";
  static requestPermission = async () => "granted";
  constructor(title) { notes.push(title); }
};
AudioContext.prototype.createOscillator = new Proxy(AudioContext.prototype.createOscillator, {
  apply(create, audio) { tones += 1; return Reflect.apply(create, audio, []); } });
"""


def is_event(api_name: str, handler: str) -> bool:
    """Whether Gradio names an event of this handler so: a handler of several events has numbers behind its name."""
    return re.fullmatch(rf"{handler}(_\d+)?", api_name) is not None


def shown_tab(page: Page, name: str) -> None:
    tab = page.get_by_role("tab", name=name, exact=True)
    expect(tab).to_have_attribute("aria-selected", "true", timeout=MINUTE)


def test_three_clicks_teach_and_everybody_sees_it(visit: Visit, furnished: StudioProcess) -> None:
    page, other = visit(), visit("?page=runs")
    steps.open_tab(page, "Train")
    page.get_by_role("button", name=re.compile("^Pirate")).click()
    expect(page.locator("#plan")).to_contain_text("It fits", timeout=MINUTE)
    page.locator("#start-run").click()
    shown_tab(page, "Runs")
    expect(steps.run_card(page)).to_have_attribute("data-state", "training", timeout=2 * MINUTE)
    run = steps.run_card(page).get_attribute("data-run")
    expect(page).to_have_title(re.compile(r"^training \d+ % · pirate"))
    assert page.evaluate("document.querySelector('#state-icon').href").startswith("data:image/svg+xml")
    expect(page).to_have_url(f"{furnished.url}/?page=runs&run={run}")

    # Another browser's status bar says the same, on every tab; a reload shows the same run.
    status_bar = other.locator("#status-bar .running")
    expect(status_bar).to_contain_text("pirate", timeout=MINUTE)
    steps.open_tab(other, "Adapters")
    expect(status_bar).to_be_visible()
    page.add_init_script(NOTED)
    page.reload()
    shown_tab(page, "Runs")
    steps.open_tab(page, "Settings")
    page.get_by_label("Tell me when a run ends").check()
    page.get_by_label("Play a sound").check()
    steps.open_tab(page, "Runs")
    expect(steps.run_card(page)).to_have_attribute("data-run", str(run), timeout=MINUTE)
    page.wait_for_function("() => document.querySelectorAll('#loss-plot g.curve').length > 0", timeout=2 * MINUTE)

    expect(page.locator("#told")).to_have_count(0)  # what had ended before the page was opened is no news

    # Stopped from the status bar of the other one: what was learnt is kept, and both are told.
    other.locator("#status-bar").get_by_role("button", name="Stop").click()
    expect(steps.run_card(page)).to_have_attribute("data-state", "stopped", timeout=2 * MINUTE)
    expect(page.locator("#timeline")).to_contain_text("stopped")
    for viewer in (page, other):
        expect(viewer.locator("#told")).to_contain_text("The run pirate is stopped.", timeout=MINUTE)
        expect(viewer).to_have_title("Guanaco Studio")
    assert page.evaluate("notes") == ["pirate: stopped"]
    assert page.evaluate("tones") == 4, "two when the sound was chosen, two at the end"
    steps.open_tab(page, "Chat")
    page.locator("#adapter-0 input").click()
    expect(page.get_by_role("option", name="pirate", exact=True)).to_be_visible()


def test_addresses_and_the_way_back(visit: Visit, furnished: StudioProcess) -> None:
    quick = next(folder.name for folder in (furnished.home / "runs").iterdir() if folder.name.endswith("-quick"))
    page = visit(f"?page=runs&run={quick}")
    shown_tab(page, "Runs")
    expect(steps.run_card(page)).to_have_attribute("data-run", quick)
    page.locator("#runs-table").get_by_role("button", name="slow", exact=True).click()
    expect(steps.run_card(page)).to_have_attribute("data-run", re.compile("-slow$"))
    expect(page).to_have_url(re.compile(r"\?page=runs&run=.*-slow$"))
    steps.open_tab(page, "Settings")
    expect(page).to_have_url(re.compile(r"\?page=settings$"))
    page.go_back()
    shown_tab(page, "Runs")
    expect(steps.run_card(page)).to_have_attribute("data-run", re.compile("-slow$"))
    page.go_back()
    expect(steps.run_card(page)).to_have_attribute("data-run", quick)
    page.go_forward()
    page.go_forward()
    shown_tab(page, "Settings")


def test_a_pressed_tab_is_seen_before_it_is_built_and_the_last_press_counts(visit: Visit) -> None:
    page = visit()
    tab = page.get_by_role("tab", name="Adapters", exact=True)
    tab.evaluate("""tab => {
        window.seen = [];
        new MutationObserver(() => seen.push([tab.classList.contains("turning"), tab.ariaSelected]))
            .observe(tab, { attributes: true });
    }""")
    tab.click()
    shown_tab(page, "Adapters")
    assert page.evaluate("seen")[0] == [True, "false"]
    assert page.evaluate("seen")[-1] == [False, "true"]
    boxes = [page.get_by_role("tab", name=name, exact=True).bounding_box() for name in ("Settings", "Train")]
    for box in boxes:
        assert box is not None
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    shown_tab(page, "Train")
    page.get_by_role("tab", name="Runs", exact=True).press("Enter")
    shown_tab(page, "Runs")


def test_no_news_are_asked_for_before_the_address_is_known(visit: Visit, furnished: StudioProcess) -> None:
    """They would be of no run, and their answer may come after what is drawn for the run that the address names."""
    quick = next(folder.name for folder in (furnished.home / "runs").iterdir() if folder.name.endswith("-quick"))
    page = visit()
    events = {
        event["id"]: event["api_name"] for event in page.request.get(f"{furnished.url}/config").json()["dependencies"]
    }
    page.goto("about:blank")  # the page that was open asks for news as long as it is there
    asked: list[str] = []
    held: list[Route] = []

    def hold_back(route: Route) -> None:
        if route.request.method == "POST" and "fn_index" in (route.request.post_data or ""):
            asked.append(events[json.loads(route.request.post_data or "")["fn_index"]])
            if is_event(asked[-1], "open_address"):
                return held.append(route)
        return route.continue_()

    page.route("**/gradio_api/**", hold_back)
    page.goto(f"{furnished.url}/?page=runs&run={quick}")
    while not held:
        page.evaluate("() => new Promise(requestAnimationFrame)")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # a person comes back to the page
    page.evaluate("() => fetch('/gradio_api/info')")  # what was asked for before it has been seen by then
    assert not any(is_event(name, "refresh") for name in asked)
    held[0].continue_()
    expect(steps.run_card(page)).to_have_attribute("data-run", quick)
    assert any(is_event(name, "refresh") for name in asked)


def test_a_tab_that_is_pressed_before_the_address_is_known_stays(visit: Visit, furnished: StudioProcess) -> None:
    page = visit()
    events = {
        event["id"]: event["api_name"] for event in page.request.get(f"{furnished.url}/config").json()["dependencies"]
    }
    held: list[Route] = []

    def hold_back(route: Route) -> None:
        asked = (route.request.post_data_json or {}) if route.request.method == "POST" else {}
        if is_event(str(events.get(asked.get("fn_index"))), "open_address"):
            return held.append(route)
        return route.continue_()

    page.goto("about:blank")
    page.route("**/gradio_api/**", hold_back)
    page.goto(f"{furnished.url}/?page=data")
    while not held:
        page.evaluate("() => new Promise(requestAnimationFrame)")
    page.get_by_role("tab", name="Train", exact=True).click()
    shown_tab(page, "Train")
    held[0].continue_()
    expect(page).to_have_url(re.compile("page=train"))
    shown_tab(page, "Train")


def test_news_that_come_late_do_not_hide_the_run_of_an_address(visit: Visit, furnished: StudioProcess) -> None:
    """Each answer of the server travels alone, so the first one may be overtaken by those that were asked for later."""
    quick = next(folder.name for folder in (furnished.home / "runs").iterdir() if folder.name.endswith("-quick"))
    page = visit()
    events = {
        event["api_name"]: event["id"] for event in page.request.get(f"{furnished.url}/config").json()["dependencies"]
    }
    late: list[tuple[Route, APIResponse]] = []

    def asks_for(request: Request, name: str) -> bool:
        return request.method == "POST" and f'"fn_index":{events[name]},' in (request.post_data or "").replace(" ", "")

    def hold_back(route: Route) -> None:
        if asks_for(route.request, "refresh_all"):
            late.append((route, route.fetch()))
        else:
            route.continue_()

    page.route("**/gradio_api/**", hold_back)
    page.goto(f"{furnished.url}/?page=runs&run={quick}")
    expect(steps.run_card(page)).to_have_attribute("data-run", quick)
    while not late:  # the run may have been drawn by news that were asked for sooner
        page.evaluate("() => new Promise(requestAnimationFrame)")
    for route, response in late:
        route.fulfill(response=response)
    with page.expect_response(lambda response: asks_for(response.request, "refresh")):  # what came before it is drawn
        pass
    expect(steps.run_card(page)).to_have_attribute("data-run", quick, timeout=1)


def test_runs_are_filtered_compared_cloned_deleted_and_brought_back(visit: Visit) -> None:
    page = visit("?page=runs")
    rows = page.locator("#runs-table tbody tr")
    expect(rows.filter(has_text="quick")).to_be_visible()
    # As quickly as no hand is: neither may be lost.
    page.evaluate(
        """names => { for (const name of names)
        document.querySelector(`#runs-table [aria-label="Compare ${name}"]`).click() }""",
        ["slow", "quick"],
    )
    compared = page.locator("#compared")
    expect(compared.locator("tbody tr").first).to_contain_text("learning_rate")
    expect(compared.locator("tbody tr").first).to_contain_text("0.001")
    expect(compared).not_to_contain_text("lora_alpha")
    assert compared.locator("g.curve").count() >= 4

    steps.fill(page, "#filter-runs", "quick done")
    expect(rows).to_have_count(1)
    rows.get_by_role("button", name="quick").click()
    expect(steps.run_card(page)).to_have_attribute("data-run", re.compile("-quick$"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#delete-run").click()
    expect(rows).to_have_count(0)
    page.locator("#trash summary").click()
    page.locator("#trash").get_by_role("button", name="Restore").click()
    expect(rows).to_have_count(1, timeout=MINUTE)

    rows.get_by_role("button", name="quick").click()
    page.locator("#clone-run").click()
    shown_tab(page, "Train")
    expect(page.locator("#run-name input, #run-name textarea").first).to_have_value("quick")
    expect(page.locator("#train-dataset input")).to_have_value("Pirate (bundled)")

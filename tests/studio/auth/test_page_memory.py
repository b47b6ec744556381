"""What is kept of pages: little of each, so much of one person's, so much of all; the oldest go first."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from studio.app import build_app
from studio.auth.identity import Role, User
from studio.auth.page_memory import (
    EVENT_BYTES,
    INPUT_FACTOR,
    MAX_PAGE_BYTES,
    MAX_TOTAL_BYTES,
    MAX_USER_BYTES,
    MIN_PAGE_BYTES,
    PageMemory,
    size_of,
)
from studio.auth.permissions import EVENT_PATHS
from studio.context import Studio
from studio.page import build_page
from studio.web.request_bodies import Refusal
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import SPACE_HOST, event, space_settings

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def app(quiet_studio: Studio, provider: OpenIDProvider) -> Any:
    return build_app(quiet_studio, space_settings(provider.url))


def mounted(app: Any) -> Any:
    return next(route.app for route in app.routes if hasattr(getattr(route, "app", None), "get_blocks"))


def test_nothing_stays_of_what_a_page_sent(app: Any) -> None:
    """Gradio keeps what was in each input for links to it, megabytes of every page that somebody makes up."""
    page, visitor = mounted(app).get_blocks(), TestClient(app, f"https://{SPACE_HOST}")
    said = {"role": "user", "content": [{"type": "text", "text": "x" * MEGABYTE}]}
    before = size_of(next(iter(mounted(app).state_holder.session_data.values()), None))
    body = event(page, "chat.handlers.edit_last_question", [1, 0, [said], [], [], []], session_hash="fresh")
    assert "xxx" in visitor.post(EVENT_PATHS[1], json=body).text, "it was read, and put into the composer"
    state = mounted(app).state_holder.session_data["fresh"]
    kept = size_of([state.state_data, state.config_values, state._state_ttl])
    assert kept + before < 10_000


class Queued:
    """A page's queue in the state in which Gradio has it when nobody fetches what came out."""

    def __init__(self, page: gr.Blocks) -> None:
        self.page = page
        self.queue = page._queue
        self.memory = PageMemory(page)
        self.numbers = itertools.count()

    def send(self, name: str, person: str, size: int = MEGABYTE, *, ran: bool = True) -> None:
        asyncio.run(self.memory.admit(name, User(Role.VISITOR, "visitor", person), size, queued=True))
        identity = f"event-{next(self.numbers)}"
        self.queue.pending_event_ids_session.setdefault(name, set()).add(identity)
        self.queue.pending_messages_per_session.setdefault(name, asyncio.Queue())
        if ran:
            self.queue.pending_messages_per_session[name].put_nowait(identity)

    def unread(self, name: str) -> set[str]:
        return set(self.queue.pending_event_ids_session.get(name, ()))

    def fetch(self, name: str) -> None:
        self.queue.pending_event_ids_session[name].clear()
        self.queue.pending_messages_per_session[name] = asyncio.Queue()

    @property
    def pages(self) -> set[str]:
        return set(self.queue.pending_messages_per_session)


@pytest.fixture
def queued(quiet_studio: Studio) -> Queued:
    return Queued(build_page(quiet_studio, sign_in=True))


def test_a_page_that_fetches_nothing_may_ask_so_much_and_no_more(queued: Queued) -> None:
    fit = MAX_PAGE_BYTES // (INPUT_FACTOR * MEGABYTE + EVENT_BYTES)
    for _ in range(fit):
        queued.send("silent", "eve")
    with pytest.raises(Refusal, match="has not fetched") as refused:
        queued.send("silent", "eve")
    assert refused.value.status_code == 429
    assert len(queued.unread("silent")) == fit
    queued.fetch("silent")
    queued.send("silent", "eve")


def test_a_page_that_fetches_may_ask_on_and_on(queued: Queued) -> None:
    for _ in range(100):
        queued.send("listening", "ada")
        queued.fetch("listening")


def test_what_has_run_and_left_nothing_to_fetch_does_not_count(queued: Queued) -> None:
    """As when a page lost its connection: Gradio lets the answers go, and keeps the events' names."""
    for _ in range(100):
        queued.send("cut off", "ada", ran=False)


def test_made_up_pages_push_out_those_of_the_same_person_and_the_oldest_first(queued: Queued) -> None:
    queued.send("adas", "ada")
    each = MIN_PAGE_BYTES + INPUT_FACTOR * MEGABYTE + EVENT_BYTES
    made = [f"made-up-{number}" for number in range(MAX_USER_BYTES // each + 20)]
    for name in made:
        queued.send(name, "eve")
    assert "adas" in queued.pages
    assert queued.pages - {"adas"} == set(made[20:])
    assert not any(queued.unread(name) for name in made[:20])


def test_all_pages_together_keep_so_much(queued: Queued) -> None:
    for number in range(100):
        queued.send(f"page-{number}", f"person-{number}")
    each = MIN_PAGE_BYTES + INPUT_FACTOR * MEGABYTE + EVENT_BYTES
    assert queued.pages == {f"page-{number}" for number in range(100 - MAX_TOTAL_BYTES // each, 100)}


def test_the_owners_pages_are_not_counted(queued: Queued) -> None:
    owner = User(Role.OWNER, "ada", "hub:ada")
    for number in range(3):
        asyncio.run(queued.memory.admit(f"page-{number}", owner, MAX_TOTAL_BYTES, queued=True))


def test_the_weight_of_a_value_is_that_of_all_it_holds() -> None:
    person = User(Role.USER, "x" * MEGABYTE, "key")
    for value in ("x" * MEGABYTE, {"a": ["x" * MEGABYTE]}, person, {"x" * MEGABYTE: None}, ({"a": (person,)},)):
        assert MEGABYTE < size_of(value) < MEGABYTE + 10_000
    round_: list[Any] = []
    round_.append(round_)
    assert size_of(round_) < 1_000
    assert size_of(None) < 100

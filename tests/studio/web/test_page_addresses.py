"""Addresses of tabs and runs open the page, for those who reload it or were sent a link; and they turn to that tab."""

from __future__ import annotations

import gradio as gr
import pytest
from starlette.testclient import TestClient

from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from studio.page import build_page
from tests.studio.conftest import handler, request_of


@pytest.fixture(scope="module")
def client(quiet_studio: Studio) -> TestClient:
    return TestClient(build_app(quiet_studio), base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    "address", ["/", "/?page=data", "/?page=runs&run=x", "/?page=nonsense", "/?page=", "/?run=%FF"]
)
def test_an_address_opens_the_page(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert "Guanaco Studio" in answer.text


def test_only_an_address_that_names_a_tab_turns_to_it(quiet_studio: Studio) -> None:
    turn_to = handler(build_page(quiet_studio), "page.turn_to")
    turned, run = turn_to(request_of(LOCAL_OWNER), "?page=runs&run=abc", "")
    assert (turned.selected, run) == ("runs", "abc")
    for query in ("", "?page=nonsense", None):
        assert turn_to(request_of(LOCAL_OWNER), query, "kept") == [gr.skip(), "kept"]

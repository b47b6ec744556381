"""Addresses of tabs and runs open the page, for those who reload it or were sent a link; and they turn to that tab."""

from __future__ import annotations

import gradio as gr
import pytest
from starlette.testclient import TestClient

from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from studio.page_handlers import open_address
from studio.runs.run_cache import RunCache
from tests.studio.conftest import request_of


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
    runs, owner = RunCache(quiet_studio.home), request_of(LOCAL_OWNER)
    turned, run = open_address(runs, owner, "?page=runs&run=abc", "")
    assert (turned.selected, run) == ("runs", "abc")
    for query in ("", "?page=nonsense", None):
        assert open_address(runs, owner, query, "kept") == [gr.skip(), "kept"]

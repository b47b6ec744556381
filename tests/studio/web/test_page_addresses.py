"""Addresses of tabs and runs open the page, for those who reload it or were sent a link."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from studio.app import build_app
from studio.context import Studio


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

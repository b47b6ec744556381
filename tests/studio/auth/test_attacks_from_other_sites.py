"""Attacks by pages of other sites and by other names of this machine."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from studio.app import build_app
from studio.auth.identity import AccessSettings
from studio.auth.permissions import EVENT_PATHS
from studio.context import Studio
from tests.studio.auth.attackers import HERE
from tests.studio.conftest import SPACE_HOST


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", f"{HERE}.evil.example"])
@pytest.mark.parametrize("path", [EVENT_PATHS[0], "/gradio_api/upload", "/v1/chat/completions", "/gradio_api/cancel"])
def test_pages_of_other_origins_change_nothing(local: TestClient, origin: str, path: str) -> None:
    assert local.post(path, json={}, headers={"origin": origin}).status_code == 403


def test_the_pages_own_origin_may(local: TestClient, visitor: TestClient) -> None:
    assert local.post(EVENT_PATHS[0], json={}, headers={"origin": HERE}).status_code == 422
    assert visitor.post(EVENT_PATHS[0], json={}, headers={"origin": f"https://{SPACE_HOST}"}).status_code == 422
    assert visitor.post("/logout", headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "localhost.evil"])
@pytest.mark.parametrize("path", ["/", "/config", "/v1/models", "/tensorboard/"])
def test_a_name_that_was_bent_to_this_machine_gets_nothing(local: TestClient, host: str, path: str) -> None:
    answer = local.get(path, headers={"host": host})
    assert answer.status_code == 400
    assert "gradio" not in answer.text


@pytest.mark.parametrize("path", ["/", "/config", "/v1/models", "/gradio_api/info"])
def test_cors_is_closed(local: TestClient, visitor: TestClient, path: str) -> None:
    for client in (local, visitor):
        asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        for answer in (client.get(path, headers=asked), client.options(path, headers=asked)):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.slow
def test_cors_opens_for_programs_only_and_only_where_it_was_asked_for(quiet_studio: Studio) -> None:
    settings = AccessSettings("owner-token", cors_origins=("https://app.example",))
    client = TestClient(
        build_app(quiet_studio, settings), "http://studio.lan", headers={"origin": "https://app.example"}
    )
    client.headers["authorization"] = "Bearer owner-token"
    answer = client.get("/v1/models")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert client.post(EVENT_PATHS[0], json={}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/config", "/v1/models", "/nothing", "/gradio_api/file=/etc/passwd"])
def test_every_answer_carries_the_headers(local: TestClient, visitor: TestClient, path: str) -> None:
    for client in (local, visitor):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "object-src 'none'" in policy
        assert policy.replace("https://huggingface.co", "").count("http") == 0, "no other host is named"
    assert "x-frame-options" not in visitor.get(path).headers
    assert (
        visitor.get(path).headers["content-security-policy"].endswith("frame-ancestors 'self' https://huggingface.co")
    )
    assert local.get(path).headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.slow
def test_a_link_with_a_token_leads_to_no_other_host(quiet_studio: Studio) -> None:
    client = TestClient(build_app(quiet_studio, AccessSettings("owner-token")), HERE, follow_redirects=False)
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        where = client.get(f"{HERE}{path}?token=owner-token").headers["location"]
        assert where.startswith("/")
        assert where[1:2] not in ("/", "\\")

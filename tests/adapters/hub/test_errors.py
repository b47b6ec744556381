"""What the Hub refuses or the network breaks is said in plain words, with no token in them."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

import pytest

from adapters.hub.errors import HubError
from adapters.hub.pull import pull_adapter
from adapters.hub.push import push_adapter
from adapters.store import AdapterStore
from tests.adapters.hub.conftest import adapter_files, snapshot
from tests.hub_server.fixtures import Hub


@pytest.mark.parametrize(
    ("where", "status", "message"),
    [
        ("GET /api/whoami-v2", 429, "too many requests"),
        ("POST /api/repos/create", 403, "may not do this"),
        ("POST /api/repos/create", 503, "in trouble"),
        ("POST /api/models/.*/commit/", 403, "may not do this"),
        ("POST /api/models/.*/commit/", 412, "changed by someone else"),
        ("POST /api/models/.*/commit/", 500, "in trouble"),
        ("PUT /lfs/", 403, "may not do this"),
    ],
)
def test_what_does_not_pass_is_explained_and_changes_nothing_here(
    hub: Hub, store: AdapterStore, where: str, status: int, message: str
) -> None:
    hub.login("hf_ada")
    before = snapshot(store)
    hub.fail(where, status, times=99)
    with pytest.raises(HubError, match=message):
        push_adapter(store, "pirate", "ada/pirate")
    assert snapshot(store) == before
    hub.heal()
    assert push_adapter(store, "pirate", "ada/pirate").changed, "trying again works"


def test_a_server_that_is_not_there(hub: Hub, store: AdapterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.login("hf_ada")
    before = snapshot(store)
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_soon.getsockname()[1]}")
    for attempt in (lambda: push_adapter(store, "pirate", "ada/pirate"), lambda: pull_adapter(store, "ada/x")):
        with pytest.raises(HubError, match=r"cannot be reached.*Check the network"):
            attempt()
    assert snapshot(store) == before


def test_no_token_in_logs_or_errors(hub: Hub, store: AdapterStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hub.login("hf_ada")
    hub.fail("POST /api/models/.*/commit/", 403)
    with pytest.raises(HubError) as caught:
        push_adapter(store, "pirate", "ada/pirate")
    assert not re.search(r"hf_ada\b", caplog.text + str(caught.value))
    assert not any("hf_ada" in request for request in hub.requests)


@pytest.mark.parametrize("status", [500, 429])
def test_a_hub_that_keeps_failing_is_explained(hub: Hub, store: AdapterStore, tmp_path: Path, status: int) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path))
    before = snapshot(store)
    hub.fail("GET /api/models/eve/style", status, times=99)
    with pytest.raises(HubError, match=r"trouble|too many"):
        pull_adapter(store, "eve/style")
    assert snapshot(store) == before

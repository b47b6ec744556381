"""What passes by itself is tried again."""

from __future__ import annotations

import pytest

from adapters.hub.push import push_adapter
from adapters.store import AdapterStore
from tests.adapters.hub.conftest import FILES
from tests.hub_server.fixtures import Hub


@pytest.mark.parametrize(
    ("where", "status", "headers"),
    [
        ("GET /api/whoami-v2", 429, {"Retry-After": "0"}),
        ("GET /api/models/", 500, {}),
        ("POST /api/repos/create", 503, {}),
        ("POST /api/models/.*/commit/", 429, {"Retry-After": "0"}),
        ("POST /api/models/.*/commit/", 502, {}),
    ],
)
def test_what_passes_is_waited_for(
    hub: Hub, store: AdapterStore, where: str, status: int, headers: dict[str, str]
) -> None:
    hub.login("hf_ada")
    hub.fail(where, status, headers=headers, times=2)
    push_adapter(store, "pirate", "ada/pirate")
    assert sorted(hub.head("ada/pirate").files) == sorted([".gitattributes", *FILES])


def test_a_connection_cut_while_committing_does_not_commit_twice(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    hub.fail("POST /api/models/.*/commit/", cut_after=0)  # the commit is made, its answer lost
    result = push_adapter(store, "pirate", "ada/pirate")
    head = hub.head("ada/pirate")
    assert head.sha == result.revision
    first = hub.repos.resolve(hub.repo("ada/pirate"), head.parent or "")
    assert first is not None and first.title == "initial commit"

"""Who may push, and what a repository may be called."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from adapters.hub.errors import HubError
from adapters.hub.pull import pull_adapter
from adapters.hub.push import push_adapter
from adapters.store import AdapterStore
from tests.adapters.hub.conftest import snapshot
from tests.hub_server.fixtures import Hub


@pytest.mark.parametrize(
    "repo", ["pirate", "a/b/c", "../x", "ada/..", "ada/x.git", "ada/a--b", "ada/x y", "/etc/x", ""]
)
def test_a_repo_id_that_is_none_is_refused_without_asking(hub: Hub, store: AdapterStore, repo: str) -> None:
    hub.login("hf_ada")
    for attempt in (lambda: push_adapter(store, "pirate", repo), lambda: pull_adapter(store, repo)):
        with pytest.raises(UserError, match="not a repository"):
            attempt()
    assert hub.requests == []


def test_without_a_token_the_way_to_one_is_told(hub: Hub, store: AdapterStore) -> None:
    with pytest.raises(HubError, match=r"no token.*settings/tokens"):
        push_adapter(store, "pirate", "ada/pirate")
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        ("hf_wrong", "ada/pirate", "does not accept the token"),
        ("hf_ada_read", "ada/pirate", "may only read"),
        ("hf_bob", "ada/pirate", "you are bob"),
    ],
)
def test_who_may_not_push_is_told_before_anything_is_made(
    hub: Hub, store: AdapterStore, token: str, repo: str, message: str
) -> None:
    before = snapshot(store)
    with pytest.raises(UserError, match=message) as caught:
        push_adapter(store, "pirate", repo, token=token)
    assert hub.repos.find("model", repo) is None
    assert snapshot(store) == before
    assert token not in str(caught.value)

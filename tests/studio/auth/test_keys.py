"""API keys: shown once, kept as hashes, refused when revoked."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.auth.keys import Keys
from tests.studio.conftest import LET_IN, GuardedApp


def test_a_key_is_shown_once_kept_as_a_hash_and_refused_when_revoked(space: GuardedApp, home: Home) -> None:
    keys = Keys(home)
    key = keys.create("my notebook")
    client = space.client(Authorization=f"Bearer {key}")
    assert key not in (home.root / "keys.json").read_text()
    assert (home.root / "keys.json").stat().st_mode & 0o077 == 0
    assert client.post("/v1/chat/completions", json={}).status_code == LET_IN
    assert client.get("/metrics").status_code == LET_IN
    assert client.post("/v1/load_lora_adapter", json={}).status_code == 403
    assert client.get("/config").status_code == 401, "a key is for programs, not for the page"
    Keys(home).revoke("my notebook")  # by another process
    assert client.post("/v1/chat/completions", json={}).status_code == 401


def test_key_names_are_checked_and_unique(home: Home) -> None:
    keys = Keys(home)
    keys.create("one")
    for bad in ("one", "", "../x", "a\nb", "x" * 65):
        with pytest.raises(UserError):
            keys.create(bad)
    with pytest.raises(UserError, match="one"):
        keys.revoke("two")


def test_a_hub_token_for_a_private_spaces_own_proxy_is_not_taken_for_a_key(space: GuardedApp) -> None:
    assert space.client(Authorization="Bearer hf_somebodys").get("/v1/models").status_code == LET_IN

"""A base that comes from the Hub: how far its download is, one that breaks off, one that its authors gate."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

import adapters.hub.retry
from adapters.common.errors import UserError
from core.models.base import load_tokenizer, resolve
from core.models.builtin import BASE_DIR
from core.models.download import fetch_weights
from core.serving.api.startup_phases import StartupPhases
from studio.cli.doctor import find_base_problems
from tests.hub_server.fixtures import Hub

FILES = {path.name: path.read_bytes() for path in BASE_DIR.iterdir() if path.is_file()}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters.hub.retry, "WAITS", (0.0, 0.0, 0.0))


def test_a_download_says_how_far_it_is_and_goes_on_where_it_ended(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.make_repo("ada/base", FILES)
    said: list[str] = []
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 20)
    hub.fail("GET /lfs/", cut_after=1 << 20)
    fetch_weights("ada/base", None, said.append)
    assert said[-1].startswith("downloading the weights: 100 %")
    assert len(said) > 2
    asked = [request for request in hub.requests if request.startswith("GET /lfs/")]
    assert len(asked) > 1, "the connection was cut once"
    before = len(hub.requests)
    fetch_weights("ada/base", None, said.append)
    assert not [request for request in hub.requests[before:] if request.startswith("GET /lfs/")]


def test_a_gated_base_says_where_to_ask_and_what_the_token_must_allow(hub: Hub) -> None:
    hub.make_repo("meta/gated", FILES, gated="manual")
    hub.login("hf_bob")
    with pytest.raises(UserError) as caught:
        load_tokenizer(resolve("meta/gated"))
    for words in (f"{hub.url}/meta/gated", "settings/tokens", "permission to read gated", "--base builtin"):
        assert words in str(caught.value)
    (problem,) = find_base_problems("meta/gated")
    assert "is gated" in problem
    repo = hub.repo("meta/gated")
    repo.granted.append("bob")
    hub.repos.save(repo)
    assert find_base_problems("meta/gated") == []
    assert load_tokenizer(resolve("meta/gated")).chat_template


def test_offline_asks_nobody(hub: Hub) -> None:
    hub.go_offline()
    before = len(hub.requests)
    fetch_weights("ada/base", None, print)
    assert find_base_problems("ada/base") == []
    assert len(hub.requests) == before


def test_phases_are_measured_in_their_order() -> None:
    phases = StartupPhases(0.0)
    for text in ("importing torch", "downloading the weights: 1 %", "downloading the weights: 99 %", "quantising"):
        phases.begin(text)
    phases.ready()
    assert list(phases.taken) == ["starting the process", "importing torch", "downloading the weights", "quantising"]
    assert all(seconds >= 0 for seconds in phases.taken.values())
    phases.end_start()
    first = phases.taken["until the first token"]
    phases.end_start()
    assert phases.taken["until the first token"] == first

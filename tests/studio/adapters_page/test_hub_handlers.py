"""The Hub's part of the tab, against the in-test Hub: what is shown before a push, and who may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from adapters.common.errors import UserError
from adapters.record import HubRef, Sample
from studio.adapters_page import hub_handlers
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.hub_handlers import (
    check_updates,
    pull_from_hub,
    push_to_hub,
    show_access,
    show_push_preview,
    show_updates,
)
from studio.adapters_page.updates import Updates
from studio.adapters_page.view import render_hub_access
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.auth.published import PublishedAdapters
from studio.context import Studio
from tests.adapters.folders import write_adapter
from tests.hub_server.fixtures import Hub
from tests.studio.adapters_page.conftest import BOB, PRIVATE, VISITOR, plain_files
from tests.studio.conftest import request_of


def test_the_preview_lists_what_a_push_then_sends(hub: Hub, studio: Studio, failures: AdapterFailures) -> None:
    hub.login("hf_ada")
    samples = [Sample("Who are you?", "A model.", "Arr | <b>me</b>")]
    studio.store.update(replace(studio.store.get("mine"), samples=samples))
    before = len(hub.requests)
    listed, _, matter, body = show_push_preview(studio, request_of(LOCAL_OWNER), "mine", "ada/x", PRIVATE, False)
    assert len(hub.requests) == before, "looking at it sends nothing"
    assert "ada/x" in listed
    assert "privately" in listed
    assert "guanaco-studio" in matter
    assert "Arr" in body
    assert "<b>me" not in body
    push_to_hub(studio, failures, request_of(LOCAL_OWNER), "mine", "ada/x", PRIVATE, "")
    for path in set(hub.head("ada/x").files) - {".gitattributes"}:
        assert f"<td>{path}</td>" in listed
    assert hub.repo("ada/x").private


def test_push_with_message_tag_and_labels(hub: Hub, studio: Studio, failures: AdapterFailures) -> None:
    hub.login("hf_ada")
    said, token = push_to_hub(
        studio,
        failures,
        request_of(LOCAL_OWNER),
        "mine",
        "ada/x",
        "Public",
        "",
        False,
        "What is new",
        "v1",
        "sea, english",
        True,
    )
    assert f"({hub.url}/ada/x)" in said
    assert "no sample answers, as the engine is not ready" in said
    assert token == "", "the token does not stay on the page"
    head = hub.head("ada/x")
    assert head.title == "What is new"
    assert hub.repo("ada/x").refs["v1"] == head.sha
    assert not hub.repo("ada/x").private
    assert "- sea\n" in hub.read("ada/x", "README.md").decode()
    propose = (request_of(LOCAL_OWNER), "mine", "ada/x", "Public", "hf_bob", True, None, None)
    said, _ = push_to_hub(studio, failures, *propose, None, False)
    assert "Nothing had changed" in said
    assert f"({hub.url}/ada/x)" in said
    said, _ = push_to_hub(studio, failures, *propose, "sea", False)
    assert "Proposed" in said
    assert "discussions/1" in said


def test_a_user_pushes_what_is_published_with_their_own_token(
    hub: Hub, studio: Studio, failures: AdapterFailures
) -> None:
    hub.login("hf_ada")
    with pytest.raises(UserError, match="not published"):
        show_push_preview(studio, request_of(BOB), "mine", "", PRIVATE, False)
    with pytest.raises(UserError, match="not published"):
        push_to_hub(studio, failures, request_of(BOB), "mine", "bob/x", PRIVATE, "")
    PublishedAdapters(studio.home).set(studio.store.get("mine"), True)
    push_to_hub(studio, failures, request_of(BOB), "mine", "bob/x", PRIVATE, "", False, None, None, "not-bobs-to-say")
    assert hub.head("bob/x").author == "bob"
    assert studio.store.get("mine").hub is None, "where the adapter is at home is not bob's to say"
    assert studio.store.get("mine").tags == [], "labels are the owner's"
    with pytest.raises(UserError, match="ada"):
        push_to_hub(studio, failures, request_of(BOB), "mine", "ada/x", PRIVATE, "")


def test_pull_by_revision_and_what_does_not_fit(hub: Hub, studio: Studio, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "other", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    files = plain_files(folder)
    first = hub.make_repo("ada/llama", files)
    hub.make_repo("ada/llama", {"README.md": b"newer"})
    studio.engine._set_status("ready", "", base="guanaco-builtin")
    with pytest.raises(UserError, match="trained on meta-llama"):
        pull_from_hub(studio, request_of(LOCAL_OWNER), "ada/llama", "", "")
    assert not any("adapter_model.safetensors" in request for request in hub.requests), (
        "refused before its weights came"
    )
    studio.engine.external_url = "http://127.0.0.1:8000"  # a server elsewhere, with that base
    studio.engine._set_status("ready", "", base="meta-llama/Llama-2-7b-chat-hf")
    said, _ = pull_from_hub(studio, request_of(LOCAL_OWNER), "ada/llama", "older", "", first[:40])
    assert first[:10] in said
    assert studio.store.get("older").hub == HubRef("ada/llama", first)
    assert "newer:" in check_updates(Updates(studio.store))


def test_only_the_owner_says_that_what_is_pulled_was_made_on_a_copy(hub: Hub, studio: Studio, tmp_path: Path) -> None:
    hub.make_repo("ada/copied", plain_files(write_adapter(tmp_path / "copy", base_model_name_or_path="ada/copy")))
    with pytest.raises(UserError, match="Only the owner"):
        pull_from_hub(studio, request_of(BOB), "ada/copied", "", "", "", True)
    with pytest.raises(UserError, match=r"copied is here, but not used on this base\. The engine is not there"):
        pull_from_hub(studio, request_of(LOCAL_OWNER), "ada/copied", "", "", "", True)
    assert studio.store.get("copied").same_base is None, "nothing is recorded that nobody could check"


def test_everyone_is_told_what_they_may_do(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> None:
    said, _, *buttons, same, files, newer = show_access(request_of(VISITOR))
    assert "Who signs in can" in said
    assert not any(button.interactive for button in buttons)
    assert (same.visible, files.visible, newer.visible) == (False, False, False)
    said, token, *buttons, same, files, newer = show_access(request_of(BOB))
    assert "<b>bob</b>" in said
    assert not token.open, "signed in with the Hub, and with a token of it"
    assert all(button.interactive for button in buttons)
    assert (same.visible, files.visible, newer.visible) == (False, False, False)
    assert show_access(request_of(replace(BOB, hub_token=None)))[1].open, "without one, it has to be typed"
    *_, same, files, newer = show_access(request_of(LOCAL_OWNER))
    assert (same.visible, files.visible, newer.visible) == (True, True, True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret-of-ada")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_TOKEN" in render_hub_access(LOCAL_OWNER)
    assert "Offline mode is on" in render_hub_access(LOCAL_OWNER)
    assert "secret" not in render_hub_access(LOCAL_OWNER)
    assert "<img" not in render_hub_access(User(Role.USER, "<img src=x>", "k", "t"))
    assert show_updates(Updates(studio.store), request_of(VISITOR)) == gr.skip()


def test_what_users_may_bring_to_the_owners_disk_is_bounded(
    hub: Hub, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.make_repo("ada/x", plain_files(studio.store.path("mine")))
    monkeypatch.setattr(hub_handlers, "USERS_BYTES", 100)
    with pytest.raises(UserError, match="at most 0 MiB are taken from anyone but the owner"):
        pull_from_hub(studio, request_of(BOB), "ada/x", "", "")
    assert not any("adapter_model.safetensors" in request for request in hub.requests), (
        "refused before its weights came"
    )
    monkeypatch.setattr(hub_handlers, "USERS_BYTES", 1 << 20)
    monkeypatch.setattr(hub_handlers, "USERS_ADAPTERS", 1)
    with pytest.raises(UserError, match="Only the owner"):
        pull_from_hub(studio, request_of(BOB), "ada/x", "", "")
    pull_from_hub(studio, request_of(LOCAL_OWNER), "ada/x", "one", "")
    monkeypatch.setattr(hub_handlers, "USERS_ADAPTERS", 3)
    pull_from_hub(studio, request_of(BOB), "ada/x", "two", "")
    assert {record.name for record in studio.store.list()} == {"mine", "one", "two"}

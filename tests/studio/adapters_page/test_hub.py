"""The Hub's part of the page, against the in-test Hub: what is shown before a push, who may, what comes in as files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from adapters.common.errors import UserError
from adapters.record import AdapterRecord, HubRef, Sample
from core.common.home import Home
from studio.adapters_page import hub as pages_hub
from studio.adapters_page import sample_answers, upload
from studio.adapters_page.hub import may_say, news_table
from studio.adapters_page.updates import Updates
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.auth.published import PublishedAdapters
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.page import build_page
from tests.adapters.folders import write_adapter
from tests.hub_server.fixtures import Hub, hub
from tests.studio.conftest import handler, request_of

__all__ = ["hub"]
PRIVATE = "Private: only you can see it"
BOB = User(Role.USER, "bob", "hub:bob", "hf_bob", sees_runs=False, only_published=True)
VISITOR = User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=False, only_published=True)


@pytest.fixture
def studio(home: Home, tmp_path: Path) -> Studio:
    made = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    made.store.import_folder(write_adapter(tmp_path / "lora"), "mine")
    return made


@pytest.fixture
def page(studio: Studio) -> Iterator[gr.Blocks]:
    yield build_page(studio, sign_in=True)


def test_the_preview_lists_what_a_push_then_sends(hub: Hub, studio: Studio, page: gr.Blocks) -> None:
    hub.login("hf_ada")
    samples = [Sample("Who are you?", "A model.", "Arr | <b>me</b>")]
    studio.store.update(replace(studio.store.get("mine"), samples=samples))
    before = len(hub.requests)
    listed, _, matter, body = handler(page, "adapters_page.hub.preview")(
        request_of(LOCAL_OWNER), "mine", "ada/x", PRIVATE, False
    )
    assert len(hub.requests) == before, "looking at it sends nothing"
    assert "ada/x" in listed
    assert "privately" in listed
    assert "guanaco-studio" in matter
    assert "Arr" in body
    assert "<b>me" not in body
    handler(page, "adapters_page.hub.push")(request_of(LOCAL_OWNER), "mine", "ada/x", PRIVATE, "")
    for path in set(hub.head("ada/x").files) - {".gitattributes"}:
        assert f"<td>{path}</td>" in listed
    assert hub.repo("ada/x").private


def test_push_with_message_tag_and_labels(hub: Hub, studio: Studio, page: gr.Blocks) -> None:
    hub.login("hf_ada")
    push = handler(page, "adapters_page.hub.push")
    said, token = push(
        request_of(LOCAL_OWNER), "mine", "ada/x", "Public", "", False, "What is new", "v1", "sea, english", True
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
    said, _ = push(*propose, None, False)
    assert "Nothing had changed" in said
    assert f"({hub.url}/ada/x)" in said
    said, _ = push(*propose, "sea", False)
    assert "Proposed" in said
    assert "discussions/1" in said


def test_a_user_pushes_what_is_published_with_their_own_token(hub: Hub, studio: Studio, page: gr.Blocks) -> None:
    hub.login("hf_ada")
    for event, arguments in (
        ("adapters_page.hub.preview", ("", PRIVATE, False)),
        ("adapters_page.hub.push", ("bob/x", PRIVATE, "")),
    ):
        with pytest.raises(gr.Error, match="not published"):
            handler(page, event)(request_of(BOB), "mine", *arguments)
    PublishedAdapters(studio.home).set(studio.store.get("mine"), True)
    handler(page, "adapters_page.hub.push")(
        request_of(BOB), "mine", "bob/x", PRIVATE, "", False, None, None, "not-bobs-to-say"
    )
    assert hub.head("bob/x").author == "bob"
    assert studio.store.get("mine").hub is None, "where the adapter is at home is not bob's to say"
    assert studio.store.get("mine").tags == [], "labels are the owner's"
    with pytest.raises(gr.Error, match="ada"):
        handler(page, "adapters_page.hub.push")(request_of(BOB), "mine", "ada/x", PRIVATE, "")


def test_pull_by_revision_and_what_does_not_fit(hub: Hub, page: gr.Blocks, studio: Studio, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "other", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    files = plain_files(folder)
    first = hub.make_repo("ada/llama", files)
    hub.make_repo("ada/llama", {"README.md": b"newer"})
    pull = handler(page, "adapters_page.hub.pull")
    studio.engine._set_status("ready", "", base="guanaco-builtin")
    with pytest.raises(gr.Error, match="trained on meta-llama"):
        pull(request_of(LOCAL_OWNER), "ada/llama", "", "")
    assert not any("adapter_model.safetensors" in each for each in hub.requests), "refused before its weights came"
    studio.engine.external_url = "http://127.0.0.1:8000"  # a server elsewhere, with that base
    studio.engine._set_status("ready", "", base="meta-llama/Llama-2-7b-chat-hf")
    said, _ = pull(request_of(LOCAL_OWNER), "ada/llama", "older", "", first[:40])
    assert first[:10] in said
    assert studio.store.get("older").hub == HubRef("ada/llama", first)
    assert "newer:" in handler(page, "adapters_page.hub.look")()


def test_only_the_owner_says_that_what_is_pulled_was_made_on_a_copy(
    hub: Hub, page: gr.Blocks, studio: Studio, tmp_path: Path
) -> None:
    hub.make_repo("ada/copied", plain_files(write_adapter(tmp_path / "copy", base_model_name_or_path="ada/copy")))
    pull = handler(page, "adapters_page.hub.pull")
    with pytest.raises(gr.Error, match="Only the owner"):
        pull(request_of(BOB), "ada/copied", "", "", "", True)
    with pytest.raises(gr.Error, match=r"copied is here, but not used on this base\. The engine is not there"):
        pull(request_of(LOCAL_OWNER), "ada/copied", "", "", "", True)
    assert studio.store.get("copied").same_base is None, "nothing is recorded that nobody could check"


def test_newer_versions_are_noticed_once_an_hour_and_not_applied(hub: Hub, studio: Studio) -> None:
    folder = studio.store.path("mine")
    first = hub.make_repo("ada/x", plain_files(folder))
    record = replace(studio.store.get("mine"), hub=HubRef("ada/x", first))
    studio.store.update(record)
    updates = Updates(studio.store)
    assert [each.newer for each in updates.look()] == [None]
    second = hub.make_repo("ada/x", {"README.md": b"newer"})
    asked = len(hub.requests)
    assert [each.newer for each in updates.look()] == [None]
    assert len(hub.requests) == asked
    assert [each.newer for each in updates.look(now=True)] == [second]
    assert second[:10] in news_table(updates.look())
    assert studio.store.get("mine").hub == HubRef("ada/x", first)
    hub.go_offline()
    (news,) = updates.look(now=True)
    assert "offline" in news.error
    assert "offline" in news_table([news])


def test_everyone_is_told_what_they_may_do(page: gr.Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive = handler(page, "adapters_page.hub.arrive")
    said, _, *buttons, same, files, newer = arrive(request_of(VISITOR))
    assert "Who signs in can" in said
    assert not any(each.interactive for each in buttons)
    assert (same.visible, files.visible, newer.visible) == (False, False, False)
    said, token, *buttons, same, files, newer = arrive(request_of(BOB))
    assert "<b>bob</b>" in said
    assert not token.open, "signed in with the Hub, and with a token of it"
    assert all(each.interactive for each in buttons)
    assert (same.visible, files.visible, newer.visible) == (False, False, False)
    assert arrive(request_of(replace(BOB, hub_token=None)))[1].open, "without one, it has to be typed"
    *_, same, files, newer = arrive(request_of(LOCAL_OWNER))
    assert (same.visible, files.visible, newer.visible) == (True, True, True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret-of-ada")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_TOKEN" in may_say(LOCAL_OWNER)
    assert "Offline mode is on" in may_say(LOCAL_OWNER)
    assert "secret" not in may_say(LOCAL_OWNER)
    assert "<img" not in may_say(User(Role.USER, "<img src=x>", "k", "t"))
    assert handler(page, "adapters_page.hub.notice")(request_of(VISITOR)) == gr.skip()


# Files


def plain_files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def zipped(folder: Path, archive: Path, below: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as made:
        for each in folder.iterdir():
            made.write(each, below + each.name)
    return archive


@pytest.mark.parametrize("below", ["", "some/folder/"])
def test_a_zip_of_an_adapter_comes_in(studio: Studio, page: gr.Blocks, tmp_path: Path, below: str) -> None:
    archive = zipped(studio.store.path("mine"), tmp_path / "given.zip", below)
    said, *_ = handler(page, "adapters_page.import_files.bring_in")(request_of(LOCAL_OWNER), [str(archive)], "", "")
    assert "given" in said
    weights = "adapter_model.safetensors"
    assert (studio.store.path("given") / weights).read_bytes() == (studio.store.path("mine") / weights).read_bytes()


def test_files_one_by_one_and_a_folder_come_in(studio: Studio, page: gr.Blocks, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "by-path")
    bring_in = handler(page, "adapters_page.import_files.bring_in")
    files = [str(each) for each in folder.iterdir() if each.is_file()]
    bring_in(request_of(LOCAL_OWNER), files, "", "by-files")
    bring_in(request_of(LOCAL_OWNER), None, str(folder), "")
    assert {"by-files", "by-path"} <= {each.name for each in studio.store.list()}
    owner_elsewhere = User(Role.OWNER, "ada", "hub:ada", "hf_ada")
    with pytest.raises(gr.Error, match="at the machine itself"):
        bring_in(request_of(owner_elsewhere), None, str(folder), "again")
    with pytest.raises(gr.Error, match="Nothing was uploaded"):
        bring_in(request_of(LOCAL_OWNER), None, "", "")


def test_what_was_put_there_by_hand_is_adopted(studio: Studio, page: gr.Blocks) -> None:
    with pytest.raises(gr.Error, match="by hand"):
        handler(page, "adapters_page.import_files.adopt")()
    write_adapter(studio.store.root / "put-there")
    assert "put-there" in handler(page, "adapters_page.import_files.adopt")()
    assert studio.store.get("put-there").note


# Sample answers


def test_questions_go_with_what_it_was_trained_on() -> None:
    record = AdapterRecord("x", "base")
    assert len(sample_answers.questions_for(record)) == 3
    own = replace(record, recipe={"sample_prompts": ["What now?"]})
    assert sample_answers.questions_for(own) == ["What now?"]


def test_answers_that_are_there_are_not_asked_for_again(studio: Studio) -> None:
    studio.store.update(replace(studio.store.get("mine"), samples=[Sample("q", "a", "b")]))
    assert sample_answers.fill_in(studio, "mine") == "1 sample answers"
    with pytest.raises(UserError):
        upload.take(studio.store, [], "x")


def test_what_users_may_bring_to_the_owners_disk_is_bounded(
    hub: Hub, studio: Studio, page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.make_repo("ada/x", plain_files(studio.store.path("mine")))
    pull = handler(page, "adapters_page.hub.pull")
    monkeypatch.setattr(pages_hub, "USERS_BYTES", 100)
    with pytest.raises(gr.Error, match="at most 0 MiB are taken from anyone but the owner"):
        pull(request_of(BOB), "ada/x", "", "")
    assert not any("adapter_model.safetensors" in each for each in hub.requests), "refused before its weights came"
    monkeypatch.setattr(pages_hub, "USERS_BYTES", 1 << 20)
    monkeypatch.setattr(pages_hub, "USERS_ADAPTERS", 1)
    with pytest.raises(gr.Error, match="Only the owner"):
        pull(request_of(BOB), "ada/x", "", "")
    pull(request_of(LOCAL_OWNER), "ada/x", "one", "")
    monkeypatch.setattr(pages_hub, "USERS_ADAPTERS", 3)
    pull(request_of(BOB), "ada/x", "two", "")
    assert {each.name for each in studio.store.list()} == {"mine", "one", "two"}

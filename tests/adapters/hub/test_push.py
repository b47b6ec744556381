"""Push over real HTTP, against the small Hub in tests/hub_server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from adapters.common.errors import UserError
from adapters.compat import AdapterFacts, inspect
from adapters.hub.errors import HubError
from adapters.hub.pull import pull_adapter
from adapters.hub.push import files_to_push, push_adapter
from adapters.record import AdapterRecord, HubRef
from adapters.store import AdapterStore
from core.common.home import Home
from tests.adapters.folders import write_adapter
from tests.adapters.hub.conftest import FILES
from tests.hub_server.fixtures import Hub


def test_push_and_pull_round_trip(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    told: list[tuple[float, str]] = []
    result = push_adapter(store, "pirate", "ada/pirate", progress=lambda share, what: told.append((share, what)))
    assert result.files == FILES and result.private and result.changed
    assert result.url == f"{hub.url}/ada/pirate"
    assert result.revision == hub.head("ada/pirate").sha
    assert store.get("pirate").hub == HubRef("ada/pirate", result.revision)
    assert [share for share, _ in told] == sorted(share for share, _ in told) and told[-1][0] == 1.0

    told.clear()
    pulled = pull_adapter(store, "ada/pirate", name="copy", progress=lambda share, what: told.append((share, what)))
    assert told[-1][0] == 1.0 and any("adapter_model.safetensors" in what for _, what in told)
    for file in FILES:
        if file not in ("README.md", "adapter_config.json"):
            assert (store.path("copy") / file).read_bytes() == (store.path("pirate") / file).read_bytes(), file
    original = store.get("pirate")
    assert pulled == replace(original, name="copy", created=pulled.created)
    assert not any(path.is_symlink() for path in store.path("copy").rglob("*"))


def test_exactly_the_listed_files_in_one_commit_through_lfs(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push_adapter(store, "pirate", "ada/pirate")
    head = hub.head("ada/pirate")
    assert sorted(head.files) == sorted([".gitattributes", *FILES])
    assert head.title == "Add the adapter pirate: 80 steps, on pirate"
    assert "base: guanaco-builtin" in head.description and "steps: 80" in head.description
    first = hub.repos.resolve(hub.repo("ada/pirate"), head.parent or "")
    assert first is not None and first.title == "initial commit"
    assert head.files["adapter_model.safetensors"].lfs
    lfs = [request for request in hub.requests if "lfs" in request]
    assert "POST /ada/pirate.git/info/lfs/objects/batch" in lfs and any(line.startswith("PUT /lfs/") for line in lfs)
    assert ModelCard(hub.read("ada/pirate", "README.md").decode()).data["library_name"] == "peft"


def test_private_unless_asked_otherwise(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push_adapter(store, "pirate", "ada/quiet")
    result = push_adapter(store, "pirate", "guild/loud", private=False)
    assert hub.repo("ada/quiet").private
    assert not hub.repo("guild/loud").private and not result.private


def test_a_private_push_into_a_public_repo_is_refused(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push_adapter(store, "pirate", "ada/loud", private=False)
    with pytest.raises(UserError, match="is public"):
        push_adapter(store, "pirate", "ada/loud")


def test_a_second_push_is_a_new_commit_or_none(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    first = push_adapter(store, "pirate", "ada/pirate")
    again = push_adapter(store, "pirate", "ada/pirate")
    assert not again.changed and again.revision == first.revision
    store.update(replace(store.get("pirate"), note="Now with a note."))
    events = store.path("pirate") / "tensorboard" / "events.out.tfevents.1.host.2.0"
    events.rename(events.with_name("events.out.tfevents.2.studio.0"))
    second = push_adapter(store, "pirate", "ada/pirate", message="Say what it is")
    head = hub.head("ada/pirate")
    assert second.changed and head.sha == second.revision and head.parent == first.revision
    assert head.title == "Say what it is"
    assert "tensorboard/events.out.tfevents.2.studio.0" in head.files
    assert "tensorboard/events.out.tfevents.1.host.2.0" not in head.files, "what is gone here is gone there"
    assert "Now with a note." in hub.read("ada/pirate", "README.md").decode()


def test_the_base_of_a_pushed_adapter_names_no_folder_of_this_machine(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    base = "/home/ada/models/my-llama"
    with store.staging() as stage:
        folder = write_adapter(stage / "adapter", base_model_name_or_path=base, auto_mapping={"x": "y"})
        store.add("local", folder, AdapterRecord("local", base))
    push_adapter(store, "local", "ada/local")
    uploaded = json.loads(hub.read("ada/local", "adapter_config.json"))
    assert uploaded["base_model_name_or_path"] == "my-llama" and uploaded["auto_mapping"] is None
    assert b"/home/ada" not in b"".join(hub.read("ada/local", file) for file in hub.head("ada/local").files)
    local = json.loads((store.path("local") / "adapter_config.json").read_text())
    assert local["base_model_name_or_path"] == base, "the adapter here stays as it is"


def test_what_would_be_uploaded_can_be_seen_before(store: AdapterStore) -> None:
    files = files_to_push(store.open("pirate"), "ada/pirate")
    assert list(files) == FILES
    assert b"ada/pirate" in files["README.md"]  # type: ignore[operator]


def test_a_repo_that_holds_something_else_is_left_alone(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    sha = hub.make_repo("ada/model", {"config.json": b"{}", "model.safetensors": b"x"}, private=True)
    with pytest.raises(UserError, match="something else"):
        push_adapter(store, "pirate", "ada/model")
    assert hub.head("ada/model").sha == sha


def test_files_that_are_not_an_adapters_stay_in_the_repo(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push_adapter(store, "pirate", "ada/pirate")
    hub.make_repo("ada/pirate", {"LICENSE": b"MIT"})
    push_adapter(store, "pirate", "ada/pirate", message="Again")
    assert "LICENSE" in hub.head("ada/pirate").files


def test_weights_that_have_arrived_are_not_sent_twice(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    hub.fail("POST /api/models/.*/commit/", 403)
    with pytest.raises(HubError):
        push_adapter(store, "pirate", "ada/pirate")
    sent = [request for request in hub.requests if request.startswith("PUT /lfs/")]
    assert len(sent) == 2, "the weights and the events"
    hub.requests.clear()
    push_adapter(store, "pirate", "ada/pirate")
    assert not any(request.startswith("PUT /lfs/") for request in hub.requests)


def test_a_pull_request_to_somebody_else(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push_adapter(store, "pirate", "ada/pirate", private=False)
    before = hub.head("ada/pirate").sha
    hub.login("hf_bob")
    store.update(replace(store.get("pirate"), note="Better.", hub=None))
    result = push_adapter(store, "pirate", "ada/pirate", pull_request=True)
    assert result.url == f"{hub.url}/ada/pirate/discussions/1"
    assert hub.head("ada/pirate").sha == before
    assert hub.head("ada/pirate", revision="refs/pr/1").sha == result.revision
    assert store.get("pirate").hub is None, "a proposal is not where the adapter lies"
    with pytest.raises(UserError, match="no repository"):
        push_adapter(store, "pirate", "ada/nothing", pull_request=True)


def test_a_version_can_be_tagged_and_pulled_by_its_tag(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    first = push_adapter(store, "pirate", "ada/pirate", tag="v1")
    store.update(replace(store.get("pirate"), note="Better."))
    push_adapter(store, "pirate", "ada/pirate")
    pulled = pull_adapter(store, "ada/pirate", name="first", revision="v1")
    assert pulled.hub == HubRef("ada/pirate", first.revision)
    assert pulled.note == ""
    with pytest.raises(UserError):
        push_adapter(store, "pirate", "ada/pirate", tag="v1")
    for tag in ("../x", "a b", "-x"):
        with pytest.raises(UserError, match="cannot be a tag"):
            push_adapter(store, "pirate", "ada/pirate", tag=tag)


def test_an_uploaded_folder_keeps_what_its_card_says(home: Home, tmp_path: Path) -> None:
    store = AdapterStore(home.adapters)
    store.import_folder(write_adapter(tmp_path / "lora"), "pirate")
    store.update(replace(store.get("pirate"), steps=40, note="Talks like a pirate."))
    copy = tmp_path / "copy"
    (copy / "tensorboard").mkdir(parents=True)
    for path, content in files_to_push(store.open("pirate"), "ada/pirate").items():
        (copy / path).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    back = store.import_folder(copy, "back")
    assert (back.steps, back.note) == (40, "Talks like a pirate.")


def test_a_push_inspects_the_adapters_files_once(
    hub: Hub, store: AdapterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected: list[Path] = []

    def count(folder: Path) -> AdapterFacts:
        inspected.append(folder)
        return inspect(folder)

    monkeypatch.setattr("adapters.adapter.inspect", count)
    hub.login("hf_ada")
    push_adapter(store, "pirate", "ada/pirate")
    assert inspected == [store.path("pirate")]

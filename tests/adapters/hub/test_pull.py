"""Pull over real HTTP, against the small Hub in tests/hub_server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.common.errors import UserError
from adapters.compat import BaseFacts, why_not
from adapters.hub.errors import HubError
from adapters.hub.pull import newer_revision, pull_adapter
from adapters.hub.push import files_to_push, push_adapter
from adapters.record import HubRef
from adapters.store import AdapterStore
from tests.adapters.folders import config
from tests.adapters.hub.conftest import FILES, adapter_files, snapshot
from tests.hub_server.fixtures import Hub


def test_pull_of_an_adapter_made_elsewhere(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path, base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    unwanted = {
        "training_args.bin": b"pickle",
        "adapter_model.bin": b"pickle",
        "run.py": b"import os",
        "optimizer.pt": b"x",
    }
    sha = hub.make_repo("eve/style", files | unwanted | {"README.md": b"---\nlicense: mit\n---\n# Style"})
    record = pull_adapter(store, "eve/style")
    assert (record.name, record.base_model) == ("style", "meta-llama/Llama-2-7b-chat-hf")
    assert record.hub == HubRef("eve/style", sha) and record.lora_r == 4
    there = {
        path.relative_to(store.path("style")).as_posix() for path in store.path("style").rglob("*") if path.is_file()
    }
    assert there == {*FILES, "studio.json"}


def test_pull_by_revision(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path)
    first = hub.make_repo("eve/style", files)
    second = hub.make_repo("eve/style", {"adapter_config.json": json.dumps(config(lora_alpha=16)).encode()})
    old = pull_adapter(store, "eve/style", revision=first, name="old")
    new = pull_adapter(store, "eve/style", name="new")
    assert (old.lora_alpha, new.lora_alpha) == (8, 16)
    assert (old.hub, new.hub) == (HubRef("eve/style", first), HubRef("eve/style", second))
    with pytest.raises(HubError, match="no such revision"):
        pull_adapter(store, "eve/style", revision="v9", name="other")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"base_model_name_or_path": "someone/else"}, "trained on someone/else"),
        ({"peft_type": "IA3"}, "only LoRA"),
        ({"use_dora": True}, "DoRA"),
        ({"peft_type": None}, "peft_type"),
    ],
)
def test_what_cannot_be_used_is_refused_before_its_weights_are_downloaded(
    hub: Hub, store: AdapterStore, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path, **changes))
    before = snapshot(store)
    with pytest.raises(UserError, match=reason):
        pull_adapter(store, "eve/style", base=BaseFacts("guanaco-builtin"))
    assert not any("safetensors" in request or "lfs" in request for request in hub.requests)
    assert snapshot(store) == before


def test_an_adapter_of_a_moved_base_is_known_by_the_fingerprint_on_its_card(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    moved = replace(store.get("pirate"), base_model="/home/ada/model")
    store.update(moved)
    push_adapter(store, "pirate", "ada/pirate")
    assert pull_adapter(store, "ada/pirate", name="back", base=BaseFacts("/srv/base", "f00d")).base_model == "model"
    with pytest.raises(UserError, match="trained on model"):
        pull_adapter(store, "ada/pirate", name="other", base=BaseFacts("/srv/base", "beef"))


def test_what_the_person_says_of_a_base_is_recorded_and_told_on_the_card(
    hub: Hub, store: AdapterStore, tmp_path: Path
) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path, base_model_name_or_path="eve/copy"))
    record = pull_adapter(store, "eve/style", base=BaseFacts("Qwen/Qwen2.5-0.5B-Instruct"), same_base=True)
    assert record.base_model == "eve/copy"
    assert record.same_base is not None
    assert (record.same_base.made_for, record.same_base.base) == ("eve/copy", "Qwen/Qwen2.5-0.5B-Instruct")
    assert why_not(store.facts("style"), BaseFacts("unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit")) is None
    card = files_to_push(store.open("style"), "ada/style")["README.md"]
    assert isinstance(card, bytes)
    assert b"that `eve/copy` is a copy of `Qwen/Qwen2.5-0.5B-Instruct`" in card
    hub.make_repo(
        "ada/style", adapter_files(tmp_path / "again", base_model_name_or_path="eve/copy") | {"README.md": card}
    )
    assert pull_adapter(store, "ada/style", name="mine").same_base is None, (
        "one person's word does not come along with the files"
    )


@pytest.mark.parametrize(
    ("drop", "add", "reason"),
    [
        ("adapter_config.json", {}, "not a PEFT adapter"),
        ("adapter_model.safetensors", {}, r"no adapter_model\.safetensors"),
        ("adapter_model.safetensors", {"adapter_model.bin": b"pickle"}, "pickle"),
        ("", {"../../evil": b"x"}, "outside"),
        ("", {"tensorboard/../../x": b"x"}, "outside"),
        ("", {"/etc/passwd": b"x"}, "outside"),
        ("", {"a\\..\\b": b"x"}, "outside"),
        ("", {"adapter_config.json": b"[]"}, "not a JSON object"),
        ("", {"adapter_config.json": b" " * 1_000_001}, "larger than any"),
        ("", {f"tensorboard/events.out.tfevents.{i}": b"" for i in range(501)}, "more than any adapter"),
        ("", {"adapter_model.safetensors": b"\0" * 100}, "safetensors"),
    ],
)
def test_repos_that_are_refused(
    hub: Hub, store: AdapterStore, tmp_path: Path, drop: str, add: dict[str, bytes], reason: str
) -> None:
    files = {path: content for path, content in adapter_files(tmp_path).items() if path != drop}
    hub.make_repo("eve/style", files | add)
    before = snapshot(store)
    with pytest.raises(UserError, match=reason):
        pull_adapter(store, "eve/style")
    assert snapshot(store) == before
    assert [path.name for path in store.root.iterdir()] == ["pirate"]


def test_a_taken_name_is_refused_with_a_free_one(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    hub.make_repo("eve/pirate", adapter_files(tmp_path))
    with pytest.raises(UserError, match="'pirate-2' is free"):
        pull_adapter(store, "eve/pirate")
    assert hub.requests == []
    assert pull_adapter(store, "eve/pirate", name="pirate-2").name == "pirate-2"


def test_gated_and_private_repos_say_whom_to_ask(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path)
    hub.make_repo("eve/gated", files, gated="manual")
    hub.make_repo("eve/secret", files, private=True)
    for token in (None, "hf_bob"):
        hub.login(token)
        with pytest.raises(HubError, match=rf"is gated.*{hub.url}/eve/gated"):
            pull_adapter(store, "eve/gated")
        with pytest.raises(HubError, match="or it is private"):
            pull_adapter(store, "eve/secret")
    repo = hub.repo("eve/gated")
    repo.granted.append("bob")
    hub.repos.save(repo)
    assert pull_adapter(store, "eve/gated").name == "gated"


def test_a_newer_version_is_noticed_and_not_applied(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path))
    record = pull_adapter(store, "eve/style")
    assert newer_revision(record) is None
    sha = hub.make_repo("eve/style", {"README.md": b"# New"})
    assert newer_revision(record) == sha
    assert store.get("style") == record
    assert newer_revision(store.get("pirate")) is None, "never pushed or pulled"


def test_a_strangers_broken_record_is_noted_not_trusted(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    card = b"---\nguanaco_studio: {version: 1, base_model: x, steps: many}\n---\n"
    hub.make_repo("eve/style", adapter_files(tmp_path) | {"README.md": card})
    record = pull_adapter(store, "eve/style")
    assert record.steps is None and "could not be read" in record.note
    assert record.base_model == "guanaco-builtin", "what the configuration says, not the card"

"""Push and pull over real HTTP, against the small Hub in tests/hub_server."""

from __future__ import annotations

import errno
import json
import logging
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import adapters.hub.errors
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, why_not
from adapters.hub.errors import HubError
from adapters.hub.transfer import files_to_push, newer_revision, pull, push
from adapters.record import AdapterRecord, DatasetRef, HubRef
from adapters.store import AdapterStore
from core.common.home import Home
from tests.adapters.folders import config, weights, write_adapter
from tests.hub_server.fixtures import Hub

FILES = [
    "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
    "tensorboard/events.out.tfevents.1.host.2.0", "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip


@pytest.fixture
def store(home: Home) -> AdapterStore:
    store = AdapterStore(home.adapters)
    with store.staging() as stage:
        folder = write_adapter(stage / "adapter")
        (folder / "training_args.bin").write_bytes(b"pickle")
        (folder / "notes.txt").write_text("private")
        record = AdapterRecord(
            "pirate",
            "guanaco-builtin",
            base_fingerprint="f00d",
            dataset=DatasetRef("pirate", "bundled", sha256="abc", conversations=300),
            recipe={"dataset_name": "pirate", "lora_r": 4, "learning_rate": 2e-4},
            steps=80,
            train_loss=0.5,
        )
        store.add("pirate", folder, record)
    return store


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters.hub.errors, "WAITS", (0.0, 0.0, 0.0))


def snapshot(store: AdapterStore) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def adapter_files(tmp_path: Path, **changes: object) -> dict[str, bytes]:
    """The files of an adapter made elsewhere, as they lie in a repository."""
    folder = write_adapter(tmp_path / "elsewhere", **changes)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Push


def test_push_and_pull_round_trip(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    told: list[tuple[float, str]] = []
    result = push(store, "pirate", "ada/pirate", progress=lambda share, what: told.append((share, what)))
    assert result.files == FILES and result.private and result.changed
    assert result.url == f"{hub.url}/ada/pirate"
    assert result.revision == hub.head("ada/pirate").sha
    assert store.get("pirate").hub == HubRef("ada/pirate", result.revision)
    assert [share for share, _ in told] == sorted(share for share, _ in told) and told[-1][0] == 1.0

    told.clear()
    pulled = pull(store, "ada/pirate", name="copy", progress=lambda share, what: told.append((share, what)))
    assert told[-1][0] == 1.0 and any("adapter_model.safetensors" in what for _, what in told)
    for file in FILES:
        if file not in ("README.md", "adapter_config.json"):
            assert (store.path("copy") / file).read_bytes() == (store.path("pirate") / file).read_bytes(), file
    original = store.get("pirate")
    assert pulled == replace(original, name="copy", created=pulled.created)
    assert not any(path.is_symlink() for path in store.path("copy").rglob("*"))


def test_exactly_the_listed_files_in_one_commit_through_lfs(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push(store, "pirate", "ada/pirate")
    head = hub.head("ada/pirate")
    assert sorted(head.files) == sorted([".gitattributes", *FILES])
    assert head.title == "Add the adapter pirate: 80 steps, on pirate"
    assert "base: guanaco-builtin" in head.description and "steps: 80" in head.description
    first = hub.repos.resolve(hub.repo("ada/pirate"), head.parent or "")
    assert first is not None and first.title == "initial commit"
    assert head.files["adapter_model.safetensors"].lfs
    lfs = [request for request in hub.requests if "lfs" in request]
    assert "POST /ada/pirate.git/info/lfs/objects/batch" in lfs and any(each.startswith("PUT /lfs/") for each in lfs)
    assert ModelCard(hub.read("ada/pirate", "README.md").decode()).data.library_name == "peft"


def test_private_unless_asked_otherwise(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push(store, "pirate", "ada/quiet")
    result = push(store, "pirate", "guild/loud", private=False)
    assert hub.repo("ada/quiet").private
    assert not hub.repo("guild/loud").private and not result.private


def test_a_private_push_into_a_public_repo_is_refused(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push(store, "pirate", "ada/loud", private=False)
    with pytest.raises(UserError, match="is public"):
        push(store, "pirate", "ada/loud")


def test_a_second_push_is_a_new_commit_or_none(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    first = push(store, "pirate", "ada/pirate")
    again = push(store, "pirate", "ada/pirate")
    assert not again.changed and again.revision == first.revision
    store.update(replace(store.get("pirate"), note="Now with a note."))
    events = store.path("pirate") / "tensorboard" / "events.out.tfevents.1.host.2.0"
    events.rename(events.with_name("events.out.tfevents.2.studio.0"))
    second = push(store, "pirate", "ada/pirate", message="Say what it is")
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
    push(store, "local", "ada/local")
    uploaded = json.loads(hub.read("ada/local", "adapter_config.json"))
    assert uploaded["base_model_name_or_path"] == "my-llama" and uploaded["auto_mapping"] is None
    assert b"/home/ada" not in b"".join(hub.read("ada/local", file) for file in hub.head("ada/local").files)
    local = json.loads((store.path("local") / "adapter_config.json").read_text())
    assert local["base_model_name_or_path"] == base, "the adapter here stays as it is"


def test_what_would_be_uploaded_can_be_seen_before(store: AdapterStore) -> None:
    files = files_to_push(store, "pirate", "ada/pirate")
    assert list(files) == FILES
    assert b"ada/pirate" in files["README.md"]  # type: ignore[operator]


@pytest.mark.parametrize(
    "repo", ["pirate", "a/b/c", "../x", "ada/..", "ada/x.git", "ada/a--b", "ada/x y", "/etc/x", ""]
)
def test_a_repo_id_that_is_none_is_refused_without_asking(hub: Hub, store: AdapterStore, repo: str) -> None:
    hub.login("hf_ada")
    for attempt in (lambda: push(store, "pirate", repo), lambda: pull(store, repo)):
        with pytest.raises(UserError, match="not a repository"):
            attempt()
    assert hub.requests == []


def test_without_a_token_the_way_to_one_is_told(hub: Hub, store: AdapterStore) -> None:
    with pytest.raises(HubError, match=r"no token.*settings/tokens"):
        push(store, "pirate", "ada/pirate")
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
        push(store, "pirate", repo, token=token)
    assert hub.repos.find("model", repo) is None
    assert snapshot(store) == before
    assert token not in str(caught.value)


def test_a_repo_that_holds_something_else_is_left_alone(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    sha = hub.make_repo("ada/model", {"config.json": b"{}", "model.safetensors": b"x"}, private=True)
    with pytest.raises(UserError, match="something else"):
        push(store, "pirate", "ada/model")
    assert hub.head("ada/model").sha == sha


def test_files_that_are_not_an_adapters_stay_in_the_repo(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push(store, "pirate", "ada/pirate")
    hub.make_repo("ada/pirate", {"LICENSE": b"MIT"})
    push(store, "pirate", "ada/pirate", message="Again")
    assert "LICENSE" in hub.head("ada/pirate").files


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
def test_what_passes_is_waited_for(hub: Hub, store: AdapterStore, where: str, status: int, headers: dict) -> None:
    hub.login("hf_ada")
    hub.fail(where, status, headers=headers, times=2)
    push(store, "pirate", "ada/pirate")
    assert sorted(hub.head("ada/pirate").files) == sorted([".gitattributes", *FILES])


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
        push(store, "pirate", "ada/pirate")
    assert snapshot(store) == before
    hub.heal()
    assert push(store, "pirate", "ada/pirate").changed, "trying again works"


def test_a_connection_cut_while_committing_does_not_commit_twice(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    hub.fail("POST /api/models/.*/commit/", cut_after=0)  # the commit is made, its answer lost
    result = push(store, "pirate", "ada/pirate")
    head = hub.head("ada/pirate")
    assert head.sha == result.revision
    first = hub.repos.resolve(hub.repo("ada/pirate"), head.parent or "")
    assert first is not None and first.title == "initial commit"


def test_weights_that_have_arrived_are_not_sent_twice(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    hub.fail("POST /api/models/.*/commit/", 403)
    with pytest.raises(HubError):
        push(store, "pirate", "ada/pirate")
    sent = [request for request in hub.requests if request.startswith("PUT /lfs/")]
    assert len(sent) == 2, "the weights and the events"
    hub.requests.clear()
    push(store, "pirate", "ada/pirate")
    assert not any(request.startswith("PUT /lfs/") for request in hub.requests)


def test_a_full_disk_is_explained_and_leaves_nothing(
    hub: Hub, store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    hub.make_repo("eve/style", adapter_files(tmp_path))
    before = snapshot(store)
    monkeypatch.setattr("adapters.hub.source.shutil.copyfile", full)
    with pytest.raises(HubError, match=r"No space left on device.*Free some space"):
        pull(store, "eve/style")
    assert snapshot(store) == before


def test_a_server_that_is_not_there(hub: Hub, store: AdapterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.login("hf_ada")
    before = snapshot(store)
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_soon.getsockname()[1]}")
    for attempt in (lambda: push(store, "pirate", "ada/pirate"), lambda: pull(store, "ada/x")):
        with pytest.raises(HubError, match=r"cannot be reached.*Check the network"):
            attempt()
    assert snapshot(store) == before


def test_no_token_in_logs_or_errors(hub: Hub, store: AdapterStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hub.login("hf_ada")
    hub.fail("POST /api/models/.*/commit/", 403)
    with pytest.raises(HubError) as caught:
        push(store, "pirate", "ada/pirate")
    assert not re.search(r"hf_ada\b", caplog.text + str(caught.value))
    assert not any("hf_ada" in request for request in hub.requests)


def test_a_pull_request_to_somebody_else(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    push(store, "pirate", "ada/pirate", private=False)
    before = hub.head("ada/pirate").sha
    hub.login("hf_bob")
    store.update(replace(store.get("pirate"), note="Better.", hub=None))
    result = push(store, "pirate", "ada/pirate", pull_request=True)
    assert result.url == f"{hub.url}/ada/pirate/discussions/1"
    assert hub.head("ada/pirate").sha == before
    assert hub.head("ada/pirate", revision="refs/pr/1").sha == result.revision
    assert store.get("pirate").hub is None, "a proposal is not where the adapter lies"
    with pytest.raises(UserError, match="no repository"):
        push(store, "pirate", "ada/nothing", pull_request=True)


def test_a_version_can_be_tagged_and_pulled_by_its_tag(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    first = push(store, "pirate", "ada/pirate", tag="v1")
    store.update(replace(store.get("pirate"), note="Better."))
    push(store, "pirate", "ada/pirate")
    pulled = pull(store, "ada/pirate", name="first", revision="v1")
    assert pulled.hub == HubRef("ada/pirate", first.revision)
    assert pulled.note == ""
    with pytest.raises(UserError):
        push(store, "pirate", "ada/pirate", tag="v1")
    for tag in ("../x", "a b", "-x"):
        with pytest.raises(UserError, match="cannot be a tag"):
            push(store, "pirate", "ada/pirate", tag=tag)


# Pull


def test_pull_of_an_adapter_made_elsewhere(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path, base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    unwanted = {
        "training_args.bin": b"pickle",
        "adapter_model.bin": b"pickle",
        "run.py": b"import os",
        "optimizer.pt": b"x",
    }
    sha = hub.make_repo("eve/style", files | unwanted | {"README.md": b"---\nlicense: mit\n---\n# Style"})
    record = pull(store, "eve/style")
    assert (record.name, record.base_model) == ("style", "meta-llama/Llama-2-7b-chat-hf")
    assert record.hub == HubRef("eve/style", sha) and record.lora_r == 4
    there = {
        path.relative_to(store.path("style")).as_posix() for path in store.path("style").rglob("*") if path.is_file()
    }
    assert there == {*FILES, "studio.json"}


@pytest.mark.parametrize("status", [500, 429])
def test_a_hub_that_keeps_failing_is_explained(hub: Hub, store: AdapterStore, tmp_path: Path, status: int) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path))
    before = snapshot(store)
    hub.fail("GET /api/models/eve/style", status, times=99)
    with pytest.raises(HubError, match=r"trouble|too many"):
        pull(store, "eve/style")
    assert snapshot(store) == before


def test_pull_by_revision(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path)
    first = hub.make_repo("eve/style", files)
    second = hub.make_repo("eve/style", {"adapter_config.json": json.dumps(config(lora_alpha=16)).encode()})
    old = pull(store, "eve/style", revision=first, name="old")
    new = pull(store, "eve/style", name="new")
    assert (old.lora_alpha, new.lora_alpha) == (8, 16)
    assert (old.hub, new.hub) == (HubRef("eve/style", first), HubRef("eve/style", second))
    with pytest.raises(HubError, match="no such revision"):
        pull(store, "eve/style", revision="v9", name="other")


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
    hub: Hub, store: AdapterStore, tmp_path: Path, changes: dict, reason: str
) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path, **changes))
    before = snapshot(store)
    with pytest.raises(UserError, match=reason):
        pull(store, "eve/style", base=BaseFacts("guanaco-builtin"))
    assert not any("safetensors" in request or "lfs" in request for request in hub.requests)
    assert snapshot(store) == before


def test_an_adapter_of_a_moved_base_is_known_by_the_fingerprint_on_its_card(hub: Hub, store: AdapterStore) -> None:
    hub.login("hf_ada")
    moved = replace(store.get("pirate"), base_model="/home/ada/model")
    store.update(moved)
    push(store, "pirate", "ada/pirate")
    assert pull(store, "ada/pirate", name="back", base=BaseFacts("/srv/base", "f00d")).base_model == "model"
    with pytest.raises(UserError, match="trained on model"):
        pull(store, "ada/pirate", name="other", base=BaseFacts("/srv/base", "beef"))


def test_what_the_person_says_of_a_base_is_recorded_and_told_on_the_card(
    hub: Hub, store: AdapterStore, tmp_path: Path
) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path, base_model_name_or_path="eve/copy"))
    record = pull(store, "eve/style", base=BaseFacts("Qwen/Qwen2.5-0.5B-Instruct"), same_base=True)
    assert record.base_model == "eve/copy"
    assert record.same_base is not None
    assert (record.same_base.made_for, record.same_base.base) == ("eve/copy", "Qwen/Qwen2.5-0.5B-Instruct")
    assert why_not(store.facts("style"), BaseFacts("unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit")) is None
    card = files_to_push(store, "style", "ada/style")["README.md"]
    assert isinstance(card, bytes)
    assert b"that `eve/copy` is a copy of `Qwen/Qwen2.5-0.5B-Instruct`" in card
    hub.make_repo(
        "ada/style", adapter_files(tmp_path / "again", base_model_name_or_path="eve/copy") | {"README.md": card}
    )
    assert pull(store, "ada/style", name="mine").same_base is None, (
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
    hub: Hub, store: AdapterStore, tmp_path: Path, drop: str, add: dict, reason: str
) -> None:
    files = {path: content for path, content in adapter_files(tmp_path).items() if path != drop}
    hub.make_repo("eve/style", files | add)
    before = snapshot(store)
    with pytest.raises(UserError, match=reason):
        pull(store, "eve/style")
    assert snapshot(store) == before
    assert [path.name for path in store.root.iterdir()] == ["pirate"]


def test_a_taken_name_is_refused_with_a_free_one(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    hub.make_repo("eve/pirate", adapter_files(tmp_path))
    with pytest.raises(UserError, match="'pirate-2' is free"):
        pull(store, "eve/pirate")
    assert hub.requests == []
    assert pull(store, "eve/pirate", name="pirate-2").name == "pirate-2"


def test_gated_and_private_repos_say_whom_to_ask(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path)
    hub.make_repo("eve/gated", files, gated="manual")
    hub.make_repo("eve/secret", files, private=True)
    for token in (None, "hf_bob"):
        hub.login(token)
        with pytest.raises(HubError, match=rf"is gated.*{hub.url}/eve/gated"):
            pull(store, "eve/gated")
        with pytest.raises(HubError, match="or it is private"):
            pull(store, "eve/secret")
    repo = hub.repo("eve/gated")
    repo.granted.append("bob")
    hub.repos.save(repo)
    assert pull(store, "eve/gated").name == "gated"


def test_an_interrupted_download_goes_on_where_it_ended(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    big = weights({f"model.layers.{layer}.mlp.up_proj": (512, 256) for layer in range(8)}, rank=16)
    files = adapter_files(tmp_path, tensors=big, r=16)
    assert len(files["adapter_model.safetensors"]) > 300_000
    hub.make_repo("eve/big", files)
    hub.fail("GET /lfs/", cut_after=200_000)
    pull(store, "eve/big")
    assert (store.path("big") / "adapter_model.safetensors").read_bytes() == files["adapter_model.safetensors"]
    assert sum(request.startswith("GET /lfs/") for request in hub.requests) == 2 + 1, "one more for the events"


def test_a_pull_that_failed_leaves_nothing_and_fetches_only_the_rest_next_time(
    hub: Hub, store: AdapterStore, tmp_path: Path
) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path))
    before = snapshot(store)
    hub.fail("/resolve/.*/tokenizer.json", 403, times=99)
    with pytest.raises(HubError):
        pull(store, "eve/style")
    assert snapshot(store) == before
    hub.heal()
    hub.requests.clear()
    pull(store, "eve/style")
    assert not any("safetensors" in request for request in hub.requests)


def test_damaged_weights_are_refused(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path)
    hub.make_repo("eve/style", files)
    blob = hub.head("eve/style").files["adapter_model.safetensors"]
    content = bytearray(files["adapter_model.safetensors"])
    content[-1] ^= 0xFF
    hub.repos.blob_path(blob.sha256).write_bytes(content)
    with pytest.raises(HubError, match="damaged"):
        pull(store, "eve/style")


def test_offline_takes_what_the_cache_holds_and_says_so_otherwise(
    hub: Hub, store: AdapterStore, tmp_path: Path
) -> None:
    sha = hub.make_repo("eve/style", adapter_files(tmp_path))
    pull(store, "eve/style")
    store.delete("style")
    hub.go_offline()
    hub.requests.clear()
    assert pull(store, "eve/style").hub == HubRef("eve/style", sha)
    with pytest.raises(HubError, match=r"not in the Hub's cache.*offline mode is on"):
        pull(store, "eve/other")
    with pytest.raises(HubError, match="offline mode is on"):
        push(store, "pirate", "ada/pirate", token="hf_ada")
    with pytest.raises(HubError, match="offline mode is on"):
        newer_revision(store.get("style"))
    assert hub.requests == []


def test_a_newer_version_is_noticed_and_not_applied(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path))
    record = pull(store, "eve/style")
    assert newer_revision(record) is None
    sha = hub.make_repo("eve/style", {"README.md": b"# New"})
    assert newer_revision(record) == sha
    assert store.get("style") == record
    assert newer_revision(store.get("pirate")) is None, "never pushed or pulled"


def test_a_strangers_broken_record_is_noted_not_trusted(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    card = b"---\nguanaco_studio: {version: 1, base_model: x, steps: many}\n---\n"
    hub.make_repo("eve/style", adapter_files(tmp_path) | {"README.md": card})
    record = pull(store, "eve/style")
    assert record.steps is None and "could not be read" in record.note
    assert record.base_model == "guanaco-builtin", "what the configuration says, not the card"

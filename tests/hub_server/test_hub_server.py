"""The in-test Hub against the real clients: what they ask is answered, with the errors that they expect."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server.fixtures import Hub

BIG = b"\0binary\n" * 50_000


def test_whoami(hub: Hub) -> None:
    who = HfApi().whoami(token="hf_ada")
    assert who["name"] == "ada"
    assert [org["name"] for org in who["orgs"]] == ["guild"]
    assert who["auth"]["accessToken"]["role"] == "write"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi().whoami(token="hf_wrong")


def test_upload_folder_goes_through_lfs_and_comes_back_equal(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("---\ntags:\n- a\n---\n# Hello\n")
    (folder / "adapter_model.safetensors").write_bytes(BIG)
    (folder / "sub" / "notes.txt").write_text("notes")
    api = HfApi(token="hf_ada")
    api.create_repo("ada/thing", private=True)
    commit = api.upload_folder(repo_id="ada/thing", folder_path=folder, commit_message="Add a thing")
    asked = [request.split("?")[0] for request in hub.requests]
    assert "POST /ada/thing.git/info/lfs/objects/batch" in asked
    assert f"PUT /lfs/{hashlib.sha256(BIG).hexdigest()}" in asked
    assert "POST /lfs/verify" in asked
    head = hub.head("ada/thing")
    assert head.sha == commit.oid and head.title == "Add a thing"
    assert head.files["adapter_model.safetensors"].lfs and not head.files["README.md"].lfs
    copy = Path(snapshot_download("ada/thing", token="hf_ada"))
    for path in ("README.md", "adapter_model.safetensors", "sub/notes.txt"):
        assert (copy / path).read_bytes() == (folder / path).read_bytes()
    info = api.model_info("ada/thing", files_metadata=True)
    assert info.private and info.sha == commit.oid and info.tags == ["a"]
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or []}
    assert sizes["adapter_model.safetensors"] == len(BIG)
    assert api.list_repo_refs("ada/thing").branches[0].target_commit == commit.oid
    assert [made.title for made in api.list_repo_commits("ada/thing")] == ["Add a thing", "initial commit"]
    again = api.upload_folder(repo_id="ada/thing", folder_path=folder, commit_message="Nothing new")
    assert again.oid == commit.oid


def test_a_connection_cut_in_a_download_is_resumed_where_it_ended(hub: Hub) -> None:
    hub.make_repo("ada/thing", {"adapter_model.safetensors": BIG})
    hub.fail("GET /lfs/", cut_after=100_000)
    assert Path(hf_hub_download("ada/thing", "adapter_model.safetensors")).read_bytes() == BIG
    assert sum(request.startswith("GET /lfs/") for request in hub.requests) == 2


def test_private_and_missing_look_the_same_to_others(hub: Hub) -> None:
    hub.make_repo("ada/secret", {"a": b"a"}, private=True)
    for token in (False, "hf_bob"):
        for repo in ("ada/secret", "ada/none"):
            with pytest.raises(RepositoryNotFoundError):
                HfApi().model_info(repo, token=token)
    assert HfApi().model_info("ada/secret", token="hf_ada").private


def test_gated_until_granted(hub: Hub) -> None:
    hub.make_repo("meta/llama", {"config.json": b"{}"}, gated="manual")
    assert HfApi().model_info("meta/llama", token=False).gated == "manual"
    for token, status in ((False, 401), ("hf_bob", 403)):
        with pytest.raises(GatedRepoError) as caught:
            hf_hub_download("meta/llama", "config.json", token=token)
        assert caught.value.response.status_code == status
    repo = hub.repo("meta/llama")
    repo.granted.append("bob")
    hub.repos.save(repo)
    assert Path(hf_hub_download("meta/llama", "config.json", token="hf_bob")).read_bytes() == b"{}"


def test_what_is_not_there_has_its_own_error(hub: Hub) -> None:
    hub.make_repo("ada/thing", {"a": b"a"})
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("ada/thing", "b")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("ada/thing", "a", revision="v2")


@pytest.mark.parametrize(("token", "repo"), [("hf_ada_read", "ada/x"), ("hf_bob", "ada/x"), ("hf_ada", "bob/x")])
def test_who_may_not_write_is_told(hub: Hub, token: str, repo: str) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        HfApi(token=token).create_repo(repo)
    assert caught.value.response.status_code == 403


def test_an_existing_repo_is_a_conflict(hub: Hub) -> None:
    api = HfApi(token="hf_ada")
    url = api.create_repo("ada/x")
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo("ada/x")
    assert caught.value.response.status_code == 409
    assert api.create_repo("ada/x", exist_ok=True) == url


def test_a_pull_request_leaves_main_alone(hub: Hub) -> None:
    before = hub.make_repo("ada/thing", {"a": b"a"})
    commit = HfApi(token="hf_bob").create_commit(
        "ada/thing", [CommitOperationAdd("b", b"b")], commit_message="Add b", create_pr=True
    )
    assert commit.pr_url == f"{hub.url}/ada/thing/discussions/1"
    assert hub.head("ada/thing").sha == before
    assert Path(hf_hub_download("ada/thing", "b", revision="refs/pr/1")).read_bytes() == b"b"


def test_a_card_with_a_local_path_as_base_is_refused(hub: Hub) -> None:
    api = HfApi(token="hf_ada")
    api.create_repo("ada/x")
    card = b"---\nbase_model: /home/ada/llama\n---\n"
    with pytest.raises(ValueError, match="base_model"):
        api.create_commit("ada/x", [CommitOperationAdd("README.md", card)], commit_message="Add card")


def test_datasets_loads_a_dataset_by_its_id(hub: Hub) -> None:
    import datasets

    rows = [{"text": f"### Human: {number}? ### Assistant: {number}."} for number in range(5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    hub.make_repo("ada/poems", {"train.jsonl": lines, "README.md": b"# Poems\n"}, kind="dataset")
    loaded = datasets.load_dataset("ada/poems", split="train")
    assert loaded.to_list() == rows


@pytest.mark.slow
def test_a_subprocess_uses_it_through_the_environment(hub: Hub) -> None:
    program = "from huggingface_hub import HfApi; print(HfApi().whoami()['name'])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=hub.env("hf_bob"), capture_output=True, text=True, check=True
    )
    assert done.stdout == "bob\n"


@pytest.mark.slow
def test_by_hand(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "tests.hub_server", "--port", "0", "--root", str(tmp_path / "hub")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split("listens at ")[1].split(",")[0]
        assert httpx.get(f"{url}/api/whoami-v2", headers={"authorization": "Bearer hf_ada"}).json()["name"] == "ada"
        process.terminate()
        assert process.wait() == 0

"""What is fetched of a repository: whole, once, and from the cache when offline."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from adapters.hub.errors import HubError
from adapters.hub.pull import newer_revision, pull_adapter
from adapters.hub.push import push_adapter
from adapters.record import HubRef
from adapters.store import AdapterStore
from tests.adapters.folders import weights
from tests.adapters.hub.conftest import adapter_files, snapshot
from tests.hub_server.fixtures import Hub


def test_a_full_disk_is_explained_and_leaves_nothing(
    hub: Hub, store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    hub.make_repo("eve/style", adapter_files(tmp_path))
    before = snapshot(store)
    monkeypatch.setattr("adapters.hub.source.shutil.copyfile", full)
    with pytest.raises(HubError, match=r"No space left on device.*Free some space"):
        pull_adapter(store, "eve/style")
    assert snapshot(store) == before


def test_an_interrupted_download_goes_on_where_it_ended(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    big = weights({f"model.layers.{layer}.mlp.up_proj": (512, 256) for layer in range(8)}, rank=16)
    files = adapter_files(tmp_path, tensors=big, r=16)
    assert len(files["adapter_model.safetensors"]) > 300_000
    hub.make_repo("eve/big", files)
    hub.fail("GET /lfs/", cut_after=200_000)
    pull_adapter(store, "eve/big")
    assert (store.path("big") / "adapter_model.safetensors").read_bytes() == files["adapter_model.safetensors"]
    assert sum(request.startswith("GET /lfs/") for request in hub.requests) == 2 + 1, "one more for the events"


def test_a_pull_that_failed_leaves_nothing_and_fetches_only_the_rest_next_time(
    hub: Hub, store: AdapterStore, tmp_path: Path
) -> None:
    hub.make_repo("eve/style", adapter_files(tmp_path))
    before = snapshot(store)
    hub.fail("/resolve/.*/tokenizer.json", 403, times=99)
    with pytest.raises(HubError):
        pull_adapter(store, "eve/style")
    assert snapshot(store) == before
    hub.heal()
    hub.requests.clear()
    pull_adapter(store, "eve/style")
    assert not any("safetensors" in request for request in hub.requests)


def test_damaged_weights_are_refused(hub: Hub, store: AdapterStore, tmp_path: Path) -> None:
    files = adapter_files(tmp_path)
    hub.make_repo("eve/style", files)
    blob = hub.head("eve/style").files["adapter_model.safetensors"]
    content = bytearray(files["adapter_model.safetensors"])
    content[-1] ^= 0xFF
    hub.repos.blob_path(blob.sha256).write_bytes(content)
    with pytest.raises(HubError, match="damaged"):
        pull_adapter(store, "eve/style")


def test_offline_takes_what_the_cache_holds_and_says_so_otherwise(
    hub: Hub, store: AdapterStore, tmp_path: Path
) -> None:
    sha = hub.make_repo("eve/style", adapter_files(tmp_path))
    pull_adapter(store, "eve/style")
    store.delete("style")
    hub.go_offline()
    hub.requests.clear()
    assert pull_adapter(store, "eve/style").hub == HubRef("eve/style", sha)
    with pytest.raises(HubError, match=r"not in the Hub's cache.*offline mode is on"):
        pull_adapter(store, "eve/other")
    with pytest.raises(HubError, match="offline mode is on"):
        push_adapter(store, "pirate", "ada/pirate", token="hf_ada")
    with pytest.raises(HubError, match="offline mode is on"):
        newer_revision(store.get("style"))
    assert hub.requests == []

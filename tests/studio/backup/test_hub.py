"""Keeping a home in a private repository."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from adapters.common.errors import UserError
from adapters.store import AdapterStore
from core.common.home import Home
from core.training.run import list_runs
from studio.backup.backup import open_backup
from tests.hub_server.fixtures import Hub, hub
from tests.studio.backup.places import another, contents, fill
from tests.sweeps import sweep

__all__ = ["hub"]


def test_a_repository_keeps_states_as_commits(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    fill(home, tmp_path)
    backup = open_backup(home, "ada/home")
    assert backup.save()
    assert hub.repo("ada/home", "dataset").private
    first = hub.head("ada/home", "dataset")
    AdapterStore(home.adapters).delete("mine")
    (home.root / "keys.json").write_text("[2]")
    assert backup.save()
    second = hub.head("ada/home", "dataset")
    assert second.parent == first.sha, "one commit each"
    assert not [path for path in second.files if "adapters/" in path]
    assert backup.save()
    assert hub.head("ada/home", "dataset").sha == second.sha, "nothing new, no commit"
    after = another(tmp_path)
    again = open_backup(after, "ada/home")
    assert again.restore() == len(contents(home))
    assert contents(after) == contents(home)
    assert again.save()
    assert hub.head("ada/home", "dataset").files.keys() == second.files.keys()


ENDS = ["POST .*preupload", "POST .*/lfs/objects/batch", "PUT /lfs/", "POST .*/commit/"]


@pytest.mark.parametrize("where", sweep(ENDS, fast=["PUT /lfs/"]))
def test_a_repository_has_the_old_state_or_the_new_one_wherever_a_sync_ends(
    hub: Hub, home: Home, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.hub.retry.WAITS", ())
    hub.login("hf_ada")
    fill(home, tmp_path)
    backup = open_backup(home, "ada/home")
    assert backup.save()
    before = contents(home)
    checkpoint = list_runs(home)[0].checkpoints_folder / "checkpoint-16"
    checkpoint.mkdir()
    (checkpoint / "optimizer.pt").write_bytes(os.urandom(100_000))
    hub.fail(where, 400, times=1000)
    assert not backup.save()
    assert backup.status.error
    hub.heal()
    after = another(tmp_path)
    open_backup(after, "ada/home").restore()
    assert contents(after) == before
    assert backup.save()
    again = another(tmp_path, "again")
    open_backup(again, "ada/home").restore()
    assert contents(again) == contents(home)


def test_a_public_repository_and_no_token_are_refused(hub: Hub, home: Home) -> None:
    with pytest.raises(UserError):
        open_backup(home, "ada/home")
    hub.login("hf_ada")
    HfApi().create_repo("ada/open", repo_type="dataset", private=False)
    with pytest.raises(UserError, match="public"):
        open_backup(home, "ada/open")


def test_a_hub_that_cannot_be_read_stops_the_start(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    fill(home, tmp_path)
    open_backup(home, "ada/home").save()
    after = another(tmp_path)
    backup = open_backup(after, "ada/home")
    hub.fail("GET /datasets/ada/home/resolve", 403, times=1000)
    with pytest.raises(UserError):
        backup.restore()
    hub.heal()
    assert backup.restore() == len(contents(home)), "an empty home is never taken for the newest state"


def test_nothing_more_goes_into_a_repository_that_has_become_public(hub: Hub, home: Home, tmp_path: Path) -> None:
    hub.login("hf_ada")
    fill(home, tmp_path)
    backup = open_backup(home, "ada/home")
    assert backup.save()
    hub.repos.save(replace(hub.repo("ada/home", "dataset"), private=False))
    (home.root / "datasets" / "new.txt").write_text("a secret")
    assert not backup.save()
    assert "public" in backup.status.error
    assert not any("new.txt" in path for path in hub.head("ada/home", "dataset").files)

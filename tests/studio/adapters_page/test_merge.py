"""Merged weights: made, downloaded, pushed."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from core.models.builtin import BASE_DIR
from studio.adapters_page import merged_models
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.merge import merge_adapter, push_merged_model
from studio.adapters_page.overview import render_adapters
from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.context import Studio
from tests.adapters.folders import write_adapter
from tests.hub_server.fixtures import Hub
from tests.studio.adapters_page.conftest import BOB, LINEARS
from tests.studio.conftest import request_of


@pytest.mark.slow
def test_merging_makes_a_model_and_pushes_it(studio: Studio, hub: Hub, failures: AdapterFailures) -> None:
    hub.login("hf_ada")
    said = merge_adapter(studio, failures, request_of(LOCAL_OWNER), "mine")
    folder = merged_models.merged_folder(studio.home, "mine")
    assert str(folder) in said
    assert "in the cache" in render_adapters(studio)
    assert 'href="/adapters/mine/merged.zip"' in render_adapters(studio)
    assert "merged.zip" not in render_adapters(studio, replace(BOB, only_published=False))
    client = TestClient(build_app(studio), base_url="http://127.0.0.1")
    whole = zipfile.ZipFile(io.BytesIO(client.get("/adapters/mine/merged.zip").content))
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= set(whole.namelist())
    assert whole.read("model.safetensors") == (folder / "model.safetensors").read_bytes()
    missing = client.get("/adapters/none/merged.zip")
    assert (missing.status_code, "no adapter named" in missing.text) == (404, True)
    (studio.store.path("mine") / "adapter_model.safetensors").touch()
    assert "Merge it" in client.get("/adapters/mine/merged.zip").json()["detail"], "it may be another adapter now"
    before, after = load_file(BASE_DIR / "model.safetensors"), load_file(folder / "model.safetensors")
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {f"{module}.weight" for module in LINEARS}
    elsewhere = User(Role.OWNER, "ada", "hub:ada", "hf_ada")
    assert str(folder) not in merge_adapter(studio, failures, request_of(elsewhere), "mine")
    said = push_merged_model(studio, failures, "mine", "ada/whole", False)
    assert f"({hub.url}/ada/whole)" in said
    assert "model.safetensors" in hub.head("ada/whole").files
    with pytest.raises(UserError, match="not a repository"):
        push_merged_model(studio, failures, "mine", "whole", False)


@pytest.mark.slow
def test_a_merge_that_fails_says_why(studio: Studio, tmp_path: Path, failures: AdapterFailures) -> None:
    studio.store.import_folder(write_adapter(tmp_path / "small"), "small")
    with pytest.raises(UserError, match="trained on another base"):
        merge_adapter(studio, failures, request_of(LOCAL_OWNER), "small")

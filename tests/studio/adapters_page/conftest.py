"""A studio with one adapter, and the people who look at it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from core.common.home import Home
from studio.adapters_page.failures import AdapterFailures
from studio.auth.identity import Role, User
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.page import build_page
from tests.adapters.folders import weights, write_adapter

PRIVATE = "Private: only you can see it"
BOB = User(Role.USER, "bob", "hub:bob", "hf_bob", sees_runs=False, only_published=True)
VISITOR = User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=False, only_published=True)
LINEARS = {"model.layers.0.self_attn.q_proj": (256, 256), "model.layers.3.mlp.up_proj": (704, 256)}


@pytest.fixture
def studio(home: Home, tmp_path: Path) -> Studio:
    studio = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    studio.store.import_folder(write_adapter(tmp_path / "lora", tensors=weights(LINEARS)), "mine")
    return studio


@pytest.fixture
def page(studio: Studio) -> Iterator[gr.Blocks]:
    yield build_page(studio, sign_in=True)


@pytest.fixture
def failures() -> AdapterFailures:
    return AdapterFailures()


def clicked(action: str, value: str) -> Any:
    return SimpleNamespace(_data={"action": action, "value": value})


def by_label(page: gr.Blocks, updates: dict[Any, Any]) -> dict[str, Any]:
    return {
        getattr(component, "label", None) or type(component).__name__: value for component, value in updates.items()
    }


def plain_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def zipped(folder: Path, archive: Path, below: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as made:
        for path in folder.iterdir():
            made.write(path, below + path.name)
    return archive

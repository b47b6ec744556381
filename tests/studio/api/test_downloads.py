"""An adapter as a zip."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file
from starlette.testclient import TestClient

from studio.adapters_page import upload
from studio.app import build_app
from studio.auth.published import PublishedAdapters
from studio.context import Studio
from tests.studio.adapters_page.conftest import BOB, studio

__all__ = ["studio"]


def test_a_zip_is_what_a_push_would_send_and_comes_in_again(studio: Studio, tmp_path: Path) -> None:
    studio.store.update(replace(studio.store.get("mine"), steps=80))
    client = TestClient(build_app(studio), base_url="http://127.0.0.1")
    answer = client.get("/adapters/mine.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="mine.zip"'
    archive = tmp_path / "back.zip"
    archive.write_bytes(answer.content)
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert "adapter_model.safetensors" in names
    assert "studio.json" not in names
    back = upload.import_upload(studio.store, [archive], "")
    assert (back.name, back.steps) == ("back", 80)
    original = load_file(studio.store.path("mine") / "adapter_model.safetensors")
    copy = load_file(studio.store.path("back") / "adapter_model.safetensors")
    assert {name: tensor.tolist() for name, tensor in original.items()} == {n: e.tolist() for n, e in copy.items()}
    assert client.get("/adapters/none.zip").status_code == 404
    assert client.get("/adapters/..%2f..%2fkeys.zip").status_code == 404


def test_published_adapters_are_what_a_user_downloads(studio: Studio) -> None:
    from fastapi import FastAPI

    from studio.api import downloads
    from studio.auth.identity import SCOPE_KEY

    app = FastAPI()
    app.include_router(downloads.router(studio))

    async def as_bob(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, SCOPE_KEY: BOB}, receive, send)

    client = TestClient(as_bob)
    assert client.get("/adapters/mine.zip").status_code == 404
    PublishedAdapters(studio.home).set(studio.store.get("mine"), True)
    assert client.get("/adapters/mine.zip").status_code == 200

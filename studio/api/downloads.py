"""GET /adapters/NAME.zip: an adapter's folder as a push would send it, made while it is downloaded.

GET /adapters/NAME/merged.zip: the same of the weights that it was merged into.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from adapters.common.errors import UserError, without_paths
from adapters.hub.merged_model import merged_files
from adapters.hub.push import files_to_push
from studio.adapters_page import merged_models
from studio.auth.identity import user_of
from studio.auth.published import check_may_use
from studio.context import Studio

PIECE = 1 << 20


def router(studio: Studio) -> APIRouter:
    routes = APIRouter()

    @routes.get("/adapters/{name}.zip")
    def download(request: Request, name: str) -> Response:
        try:
            check_may_use(studio, user_of(request), name)
            files = files_to_push(studio.store.open(name), f"you/{name}")
        except UserError as error:
            return JSONResponse({"detail": without_paths(str(error))}, 404)
        return sent(name, files)

    @routes.get("/adapters/{name}/merged.zip")
    def download_merged(name: str) -> Response:
        try:
            record = studio.store.get(name)
            if not merged_models.is_merged(studio.home, record):
                raise UserError(f"{name} is not merged, or has changed since.", "Merge it on the Adapters page first.")
            files = merged_files(merged_models.merged_folder(studio.home, name), record, f"you/{name}-merged")
        except UserError as error:
            return JSONResponse({"detail": str(error)}, 404)
        return sent(f"{name}-merged", files)

    return routes


def sent(name: str, files: dict[str, Path | bytes]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    return StreamingResponse(zipped(files), media_type="application/zip", headers=headers)


def zipped(files: dict[str, Path | bytes]) -> Iterator[bytes]:
    """The zip piece by piece; weights do not get smaller, so nothing is compressed, and nothing lies on the disk."""
    out = Pieces()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            with archive.open(path, "w", force_zip64=True) as entry:
                if isinstance(content, bytes):
                    entry.write(content)
                    continue
                with content.open("rb") as file:
                    while piece := file.read(PIECE):
                        entry.write(piece)
                        yield out.taken()
            yield out.taken()
    yield out.taken()


class Pieces:
    """A file that can only be written, and gives what was written to whoever sends it on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole

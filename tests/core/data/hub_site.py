"""The little of the Hub's server that reading a dataset asks for: repository info, and files by commit."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

SHA = "c0ffee" + "0" * 34


class Site:
    """Repositories by id; `refusals` maps an id to (status, X-Error-Code) instead."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.url = ""


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    handler = type("Handler", (SiteHandler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class SiteHandler(BaseHTTPRequestHandler):
    site: ClassVar[Site]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.site.asked.append(path)
        parts = path.removeprefix("/api").removeprefix("/datasets/").split("/")
        repo_id, rest = "/".join(parts[:2]), parts[2:]
        if repo_id in self.site.refusals:
            status, code = self.site.refusals[repo_id]
            self.reply(status, b"{}", {"X-Error-Code": code})
        elif repo_id not in self.site.repositories:
            self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/"):
            self.reply_info(repo_id, rest[1] if rest[:1] == ["revision"] else "main")
        else:
            self.reply_file(self.site.repositories[repo_id].get("/".join(rest[2:])))

    def reply_info(self, repo_id: str, revision: str) -> None:
        if revision not in ("main", SHA):
            self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        files = self.site.repositories[repo_id]
        info = {
            "id": repo_id,
            "sha": SHA,
            "siblings": [{"rfilename": name, "size": len(content)} for name, content in files.items()],
            "cardData": self.site.cards.get(repo_id),
        }
        self.reply(200, json.dumps(info).encode(), {})

    def reply_file(self, content: bytes | None) -> None:
        if content is None:
            self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            tag = hashlib.sha256(content).hexdigest()
            self.reply(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": SHA})

    def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output quiet."""

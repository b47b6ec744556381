"""Runs the Hub on a thread of this process, on a port of its own."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import uvicorn

from tests.hub_server.app import Hub, build_app
from tests.hub_server.faults import Fault, Faults
from tests.hub_server.repos import Commit, Repos, Settings, is_lfs
from tests.hub_server.spaces import Spaces


class HubServer:
    """`url` is where it listens, from the moment the object exists; close() ends it."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self._hub = Hub(Repos(root))
        self._faults = Faults(build_app(self._hub))
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        # A connection that is cut on purpose is an error to uvicorn, hence no log below "critical". Without a limit the
        # end would wait for connections that a client keeps open.
        config = uvicorn.Config(
            self._faults, log_level="critical", lifespan="off", access_log=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()

    @property
    def repos(self) -> Repos:
        return self._hub.repos

    @property
    def spaces(self) -> Spaces:
        """The settings of Spaces, and the buckets."""
        return self._hub.spaces

    def reset(self, root: Path) -> None:
        """Serve another folder, with nothing failing and an empty log."""
        self._hub.repos = Repos(root)
        self._hub.spaces.of.clear()
        self._hub.spaces.buckets.clear()
        self._faults.faults.clear()
        self._faults.requests.clear()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def requests(self) -> list[str]:
        """ "METHOD /path" of every request so far."""
        return self._faults.requests

    def fail(
        self,
        match: str,
        status: int | None = None,
        *,
        cut_after: int | None = None,
        times: int = 1,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer the next `times` requests that match with `status`, or cut the answer after some bytes."""
        self._faults.faults.append(Fault(match, status, cut_after, times, headers or {}))

    def heal(self) -> None:
        self._faults.faults.clear()

    def make_repo(
        self,
        repo_id: str,
        files: dict[str, bytes],
        *,
        kind: str = "model",
        private: bool = False,
        gated: str | bool = False,
    ) -> str:
        """A repository with these files; where it exists already, one more commit. The commit's id is returned."""
        repo = self.repos.find(kind, repo_id)
        if repo is None:
            repo = self.repos.create(kind, repo_id, repo_id.split("/")[0], private=private, gated=gated)
        blobs = {
            path: self.repos.blob(self.repos.put_blob(content), is_lfs(path, len(content), content[:512]))
            for path, content in files.items()
        }
        return self.repos.commit(repo, "main", repo_id.split("/")[0], "Add files", "", blobs, []).sha

    def repo(self, repo_id: str, kind: str = "model") -> Settings:
        repo = self.repos.find(kind, repo_id)
        assert repo is not None, f"there is no {kind} {repo_id}"
        return repo

    def head(self, repo_id: str, kind: str = "model", revision: str = "main") -> Commit:
        commit = self.repos.resolve(self.repo(repo_id, kind), revision)
        assert commit is not None
        return commit

    def read(self, repo_id: str, path: str, kind: str = "model") -> bytes:
        return self.repos.blob_path(self.head(repo_id, kind).files[path].sha256).read_bytes()

    def env(self, token: str | None = None) -> dict[str, str]:
        """The environment in which a subprocess uses this Hub, and no other."""
        ours = {
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return {k: v for k, v in os.environ.items() if k != "HF_TOKEN"} | ours | ({"HF_TOKEN": token} if token else {})

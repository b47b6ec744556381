"""Repositories in a folder: content by hash, commits as JSON, refs that point at commits."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".safetensors", ".bin", ".parquet", ".pt", ".gguf", ".zip")
LFS_SIZE = 10 * 1024 * 1024
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()


@dataclass(frozen=True)
class Blob:
    sha256: str
    oid: str  # git's own id: of the content, or of the LFS pointer
    size: int
    lfs: bool


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    title: str
    description: str
    author: str
    date: str
    files: dict[str, Blob]


@dataclass
class Settings:
    kind: str  # "model", "dataset" or "space"
    id: str
    private: bool = False
    gated: str | bool = False  # False, "auto" or "manual"
    granted: list[str] = field(default_factory=list)  # who has been given access to a gated repository
    refs: dict[str, str] = field(default_factory=dict)  # "main", "refs/pr/1", a tag's name -> commit


def is_lfs(path: str, size: int, sample: bytes) -> bool:
    return path.endswith(LFS_SUFFIXES) or "tfevents" in path or size > LFS_SIZE or b"\0" in sample


class Repos:
    """All repositories beneath one folder. Safe for the threads of one server, not for two servers on one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()

    def blob_path(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256

    def put_blob(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self.blob_path(sha256).write_bytes(content)
        return sha256

    def blob(self, sha256: str, lfs: bool) -> Blob:
        content = self.blob_path(sha256).read_bytes()
        stored = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()
        git = stored if lfs else content
        return Blob(sha256, hashlib.sha1(b"blob %d\0" % len(git) + git).hexdigest(), len(content), lfs)

    def find(self, kind: str, repo_id: str) -> Settings | None:
        path = self._folder(kind, repo_id) / "settings.json"
        return Settings(**json.loads(path.read_text())) if path.is_file() else None

    def save(self, repo: Settings) -> None:
        folder = self._folder(repo.kind, repo.id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.json").write_text(json.dumps(asdict(repo), indent=1))

    def create(self, kind: str, repo_id: str, author: str, *, private: bool, gated: str | bool = False) -> Settings:
        repo = Settings(kind, repo_id, private, gated)
        attributes = self.blob(self.put_blob(GITATTRIBUTES), lfs=False)
        self.commit(repo, "main", author, "initial commit", "", {".gitattributes": attributes}, [])
        return repo

    def resolve(self, repo: Settings, revision: str) -> Commit | None:
        sha = repo.refs.get(revision.removeprefix("refs/heads/"), revision)
        path = self._folder(repo.kind, repo.id) / "commits" / f"{sha}.json"
        if not sha.isalnum() or not path.is_file():
            return None
        values: dict[str, Any] = json.loads(path.read_text())
        files = {name: Blob(**blob) for name, blob in values.pop("files").items()}
        return Commit(**values, files=files)

    def commit(
        self, repo: Settings, ref: str, author: str, title: str, description: str, add: dict[str, Blob], drop: list[str]
    ) -> Commit:
        """A new commit on `ref`: the files of the one before, less `drop` (a folder ends with a slash), plus `add`."""
        with self._lock:
            parent = self.resolve(repo, ref) or self.resolve(repo, "main")
            files = {
                path: blob
                for path, blob in (parent.files if parent else {}).items()
                if not any(path == dropped or (dropped.endswith("/") and path.startswith(dropped)) for dropped in drop)
            } | add
            values = {
                "parent": parent.sha if parent else None,
                "title": title,
                "description": description,
                "author": author,
                "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "files": {path: asdict(blob) for path, blob in sorted(files.items())},
            }
            sha = hashlib.sha1(json.dumps([repo.id, values]).encode()).hexdigest()
            folder = self._folder(repo.kind, repo.id) / "commits"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{sha}.json").write_text(json.dumps({"sha": sha, **values}, indent=1))
            repo.refs[ref] = sha
            self.save(repo)
            commit = self.resolve(repo, sha)
            assert commit is not None
            return commit

    def _folder(self, kind: str, repo_id: str) -> Path:
        owner, name = repo_id.split("/")
        if ".." in (owner, name):
            raise ValueError(repo_id)
        return self.root / f"{kind}s" / owner / name

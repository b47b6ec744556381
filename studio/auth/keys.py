"""API keys for /v1: made once, shown once, kept only as hashes in the home folder, gone when revoked."""

from __future__ import annotations

import builtins
import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, TypeAdapter

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError
from adapters.common.files import write_atomic
from core.common.home import Home
from core.common.json_records import read_record
from studio.auth.identity import Role, User, equal_secrets

PREFIX = "gs_"
NAME = re.compile(r"[A-Za-z0-9][\w .-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Key:
    """name: by which it is revoked. sha256: of the key, which has 256 random bits, so that no salt is needed."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created: str


KEYS = TypeAdapter(list[Key])


class Keys:
    def __init__(self, home: Home) -> None:
        self.home = home
        self.path: Path = home.root / "keys.json"
        self._lock = FileLock(ensure_plain(home.processes / "keys.lock"))
        self._seen: tuple[int, int] | None = None
        self._keys: list[Key] = []

    def list(self) -> list[Key]:
        """All keys, oldest first; none when the file is damaged. It is read again only when it has changed."""
        try:
            stat = self.path.lstat()
        except FileNotFoundError:
            return []
        if self._seen != (stat.st_mtime_ns, stat.st_ino):
            self._keys = read_record(self.path, KEYS) or []
            self._seen = (stat.st_mtime_ns, stat.st_ino)
        return self._keys[:]

    def create(self, name: str) -> str:
        """A new key, which nobody can show again. Raises UserError for a name that is taken or none."""
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be a key's name.", "Use up to 64 letters, digits, spaces, dots, hyphens.")
        key = PREFIX + secrets.token_urlsafe(32)
        with self._lock:
            keys = self.list()
            if any(known.name == name for known in keys):
                raise UserError(f"There is already a key named {name!r}.", "Revoke it first, or choose another name.")
            created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._write([*keys, Key(name, digest(key), created)])
        return key

    def revoke(self, name: str) -> None:
        """From now on the key is refused. Raises UserError when there is none of that name."""
        with self._lock:
            keys = self.list()
            kept = [key for key in keys if key.name != name]
            if len(kept) == len(keys):
                names = ", ".join(key.name for key in keys) or "none"
                raise UserError(f"There is no key named {name!r}.", f"Keys here: {names}.")
            self._write(kept)

    def find_user(self, given: str) -> User | None:
        """The user that a key stands for."""
        sha256 = digest(given)
        for key in self.list():
            if equal_secrets(sha256, key.sha256):
                return User(Role.USER, key.name, f"key:{key.name}", sees_runs=False)
        return None

    def _write(self, keys: builtins.list[Key]) -> None:
        write_atomic(self.path, json.dumps([asdict(key) for key in keys], indent=1))
        self.path.chmod(0o600)
        self._seen = None


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

"""Who is signed in on a Space: in this process's memory alone, so a restarted Space asks people to sign in again."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from studio.auth.identity import User

MAX_SESSIONS = 10_000  # the oldest are forgotten first,
MAX_SESSIONS_OF_ONE = 20  # and nobody has so many that others' go


@dataclass(frozen=True)
class Session:
    user: User
    expires: float


class Sessions:
    """Ids are stored as hashes: what leaks from memory into a dump opens no session."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, user: User, seconds: float) -> str:
        """The random id of a new session, which the browser gets as a cookie."""
        session_id = secrets.token_urlsafe(32)
        own = [key for key, session in self._sessions.items() if session.user.key == user.key]
        for oldest in own[: max(0, len(own) + 1 - MAX_SESSIONS_OF_ONE)]:
            del self._sessions[oldest]
        self._sessions[hash_id(session_id)] = Session(user, time.time() + seconds)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session_id

    def find_user(self, session_id: str | None) -> User | None:
        """Whose session this is; None when there is none of that id, or it has expired."""
        if not session_id:
            return None
        session = self._sessions.get(hash_id(session_id))
        if session is None:
            return None
        if session.expires <= time.time():
            del self._sessions[hash_id(session_id)]
            return None
        return session.user

    def close(self, session_id: str | None) -> None:
        self._sessions.pop(hash_id(session_id or ""), None)


def hash_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

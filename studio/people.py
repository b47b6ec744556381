"""Who is asking: a stranger, a visitor, a user or the owner; and from which settings that follows."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from adapters.files import write_atomic
from core.errors import UserError
from core.home import Home


class Role(IntEnum):
    """Each may do what the ones before it may. A stranger has not shown the token that a studio asks for."""

    STRANGER = 0
    VISITOR = 1
    USER = 2
    OWNER = 3


@dataclass(frozen=True)
class Person:
    """Who sent a request.

    key: by whom messages are counted. hub_token: their own Hub token, from signing in. sees_runs: the runs and their
    curves. only_published: of the adapters, they may chat with those that the owner published.
    """

    role: Role
    name: str
    key: str
    hub_token: str | None = field(default=None, repr=False)
    sees_runs: bool = True
    only_published: bool = False


LOCAL_OWNER = Person(Role.OWNER, "this machine", "local")
NOBODY = Person(Role.STRANGER, "nobody", "nobody", sees_runs=False, only_published=True)
SCOPE_KEY = "guanaco.person"  # where Access leaves the Person in an ASGI scope


@dataclass(frozen=True)
class Provider:
    """The OpenID provider of a Space, as Hugging Face describes it in the Space's environment."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: str = "openid profile"


@dataclass(frozen=True)
class AccessSettings:
    """How people come in. Without tokens and without a provider: this machine only, and it may do everything.

    author, owners: names on the Hub that own the studio; the author may be an organisation, whose members own it then.
    hosts: the names under which a Space is reached. messages_per_minute: (per person, for all visitors and users).
    """

    access_token: str | None = field(default=None, repr=False)
    user_token: str | None = field(default=None, repr=False)
    provider: Provider | None = None
    author: str = ""
    owners: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    everyone_sees_runs: bool = False
    messages_per_minute: tuple[int, int] = (12, 60)
    cors_origins: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        return not (self.access_token or self.user_token or self.provider)

    @classmethod
    def from_environment(
        cls,
        access_token: str | None = None,
        user_token: str | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> AccessSettings:
        """Read what the environment says; tokens given on the command line go before it. Raises UserError."""
        get = environment.get
        access_token = access_token or get("STUDIO_ACCESS_TOKEN") or None
        user_token = user_token or get("STUDIO_USER_TOKEN") or None
        if user_token and not access_token:
            raise UserError("There is a token for users, and none for the owner.", "Set --access-token too.")
        if user_token and user_token == access_token:
            raise UserError("Users and the owner have the same token.", "Give them different ones.")
        provider = None
        if get("SPACE_ID") and get("OAUTH_CLIENT_ID"):
            provider = Provider(
                environment["OPENID_PROVIDER_URL"].rstrip("/"),
                environment["OAUTH_CLIENT_ID"],
                environment["OAUTH_CLIENT_SECRET"],
                get("OAUTH_SCOPES", "openid profile"),
            )
        return cls(
            access_token,
            user_token,
            provider,
            author=get("SPACE_AUTHOR_NAME", "").lower(),
            owners=frozenset(words(get("STUDIO_OWNERS", ""))),
            hosts=frozenset(words(get("SPACE_HOST", ""))),
            everyone_sees_runs=get("STUDIO_RUNS_ARE_PUBLIC", "") in ("1", "true"),
            messages_per_minute=rates(get("STUDIO_MESSAGES_PER_MINUTE", "12,60")),
            cors_origins=tuple(get("STUDIO_CORS_ORIGINS", "").replace(",", " ").split()),
        )

    def check_binding(self, host: str) -> None:
        """Refuse to serve strangers. Raises UserError for an address beyond this machine without access control."""
        if self.local and not is_loopback(host):
            raise UserError(
                f"Binding to {host} would let anyone who reaches this machine train, push and delete.",
                "Set an access token (--access-token or STUDIO_ACCESS_TOKEN), or keep the default --host 127.0.0.1. "
                "On a Space, `hf_oauth: true` in README.md lets people sign in.",
            )

    def by_token(self, given: str | None) -> Person | None:
        """The owner or a user, by one of the two tokens."""
        if same(given, self.access_token):
            return Person(Role.OWNER, "owner", "owner")
        if same(given, self.user_token):
            return Person(Role.USER, "user", "user")
        return None

    def by_cookie(self, given: str | None, secret: bytes) -> Person | None:
        for token in (self.access_token, self.user_token):
            if token and same(given, cookie_of(token, secret)):
                return self.by_token(token)
        return None

    def by_profile(self, profile: Mapping[str, Any], hub_token: str) -> Person:
        """Who a signed-in person of the Hub is here. `profile` is the provider's userinfo."""
        name = str(profile["preferred_username"])
        belongs = {name.lower()} | {
            str(org.get("preferred_username", "")).lower()
            for org in profile.get("orgs") or []
            if org.get("roleInOrg") not in ("read", "no_access")
        }
        owns = self.author in belongs or name.lower() in self.owners
        if owns:
            return Person(Role.OWNER, name, f"hub:{name.lower()}", hub_token)
        return Person(Role.USER, name, f"hub:{name.lower()}", hub_token, self.everyone_sees_runs, only_published=True)

    def visitor(self, address: str) -> Person:
        """Someone on a Space who has not signed in."""
        return Person(Role.VISITOR, "visitor", f"from:{address}", None, self.everyone_sees_runs, only_published=True)


def words(text: str) -> list[str]:
    return text.replace(",", " ").lower().split()


def rates(text: str) -> tuple[int, int]:
    try:
        person, total = (int(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"STUDIO_MESSAGES_PER_MINUTE is {text!r}.", "Write two numbers, per person and in total, such as 12,60."
        ) from None
    return person, total


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same(given: str | None, wanted: str | None) -> bool:
    """Equal and not empty, in a time that does not tell how much of it is right."""
    return bool(given and wanted) and hmac.compare_digest(str(given).encode(), str(wanted).encode())


def cookie_of(token: str, secret: bytes) -> str:
    """The cookie that a token becomes: with this studio's `secret` in it, it cannot be calculated from a guess."""
    return hmac.digest(secret, token.encode(), "sha256").hex()


def cookie_secret(home: Home) -> bytes:
    """256 random bits of this studio's own, which stay the same when it starts again. They never leave the machine."""
    path = home.processes / "cookie-secret"
    try:
        return bytes.fromhex(path.read_text())
    except (FileNotFoundError, ValueError):
        secret = secrets.token_bytes(32)
        write_atomic(path, secret.hex())  # readable by this user alone
        return secret


def person_of(request: Any) -> Person:
    """The Person behind a gr.Request or a Starlette request; nobody when it did not come through Access."""
    scope = getattr(request, "request", request)
    scope = getattr(scope, "scope", None) or {}
    person = scope.get(SCOPE_KEY)
    return person if isinstance(person, Person) else NOBODY

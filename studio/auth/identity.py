"""Who is asking: a stranger, a visitor, a user or the owner; and from which settings that follows."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import quote

from adapters.common import damaged_files
from adapters.common.errors import UserError
from adapters.common.files import no_room, write_atomic
from core.common.home import Home


class Role(IntEnum):
    """Each may do what the ones before it may. A stranger has not shown the token that a studio asks for."""

    STRANGER = 0
    VISITOR = 1
    USER = 2
    OWNER = 3


@dataclass(frozen=True)
class User:
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

    @property
    def client(self) -> str | None:
        """By which name the engine shares itself out between people; the owner's programs may name their own users."""
        return quote(self.key) if self.role < Role.OWNER else None


LOCAL_OWNER = User(Role.OWNER, "this machine", "local")
UNAUTHENTICATED = User(Role.STRANGER, "nobody", "nobody", sees_runs=False, only_published=True)
HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")  # of a person or an organisation
WRITING_ROLES = ("admin", "write")  # in an organisation; what is not known here is not among them
SECRET_BYTES = 32
log = logging.getLogger(__name__)
SCOPE_KEY = "guanaco.user"  # where AccessMiddleware leaves the User in an ASGI scope


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
    hosts: the names under which a Space is reached. messages_per_minute: (per user, for all visitors and users).
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
        access_token = read_token("--access-token", access_token, get("STUDIO_ACCESS_TOKEN", ""))
        user_token = read_token("--user-token", user_token, get("STUDIO_USER_TOKEN", ""))
        if user_token and not access_token:
            raise UserError("There is a token for users, and none for the owner.", "Set --access-token too.")
        if user_token and user_token == access_token:
            raise UserError("Users and the owner have the same token.", "Give them different ones.")
        return cls(
            access_token,
            user_token,
            read_provider(environment),
            author=get("SPACE_AUTHOR_NAME", "").strip().lower(),
            owners=parse_names(get("STUDIO_OWNERS", "")),
            hosts=frozenset(split_words(get("SPACE_HOST", ""))),
            everyone_sees_runs=get("STUDIO_RUNS_ARE_PUBLIC", "") in ("1", "true"),
            messages_per_minute=parse_rates(get("STUDIO_MESSAGES_PER_MINUTE", "12,60")),
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

    def user_by_token(self, given: str | None) -> User | None:
        """The owner or a user, by one of the two tokens."""
        if equal_secrets(given, self.access_token):
            return User(Role.OWNER, "owner", "owner")
        if equal_secrets(given, self.user_token):
            return User(Role.USER, "user", "user")
        return None

    def user_by_cookie(self, given: str | None, secret: bytes) -> User | None:
        for token in (self.access_token, self.user_token):
            if token and equal_secrets(given, token_cookie(token, secret)):
                return self.user_by_token(token)
        return None

    def user_by_profile(self, profile: Mapping[str, Any], hub_token: str) -> User:
        """Who a signed-in person of the Hub is here. `profile` is the provider's userinfo.

        What makes somebody an owner must be said in so many words: whatever is missing or of another type does not.
        Raises ValueError for a profile without a name.
        """
        name = profile.get("preferred_username")
        if not isinstance(name, str) or not HUB_NAME.fullmatch(name):
            raise ValueError("the provider gave no name of the Hub")
        if name.lower() in {self.author, *self.owners} or self._writes_for_author(profile.get("orgs")):
            return User(Role.OWNER, name, f"hub:{name.lower()}", hub_token)
        return User(Role.USER, name, f"hub:{name.lower()}", hub_token, self.everyone_sees_runs, only_published=True)

    def _writes_for_author(self, orgs: Any) -> bool:
        """Whether the author is one of these organisations, and one may write there and has passed what it asks for."""
        return bool(self.author) and any(
            isinstance(name := org.get("preferred_username"), str)
            and name.lower() == self.author
            and org.get("roleInOrg") in WRITING_ROLES
            and not org.get("securityRestrictions")
            for org in (orgs if isinstance(orgs, list) else [])
            if isinstance(org, dict)
        )

    def visitor(self, address: str) -> User:
        """Someone on a Space who has not signed in."""
        return User(Role.VISITOR, "visitor", f"from:{address}", None, self.everyone_sees_runs, only_published=True)


def read_token(option: str, given: str | None, from_environment: str) -> str | None:
    """A token as given by `option`, or else by the environment. Raises UserError for one that nobody could show.

    An option that is there and empty comes of a variable that is not set: the studio is not open because of that.
    """
    if given is None and not from_environment:
        return None
    token = (from_environment if given is None else given).strip()
    if token and token.isprintable():
        return token
    raise UserError(f"The token of {option} is blank, or holds characters that cannot be typed.", "Give another one.")


def read_provider(environment: Mapping[str, str]) -> Provider | None:
    """How people sign in on a Space; None elsewhere. Raises UserError when only half of it is said."""
    if not (environment.get("SPACE_ID") and environment.get("OAUTH_CLIENT_ID")):
        return None
    wanted = ("OPENID_PROVIDER_URL", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET")
    if missing := [name for name in wanted if not environment.get(name, "").strip()]:
        raise UserError(
            f"This Space does not say how people sign in: {', '.join(missing)} is missing.",
            "Set `hf_oauth: true` in README.md, and restart the Space.",
        )
    url, client_id, client_secret = (environment[name] for name in wanted)
    return Provider(url.rstrip("/"), client_id, client_secret, environment.get("OAUTH_SCOPES", "openid profile"))


def parse_names(text: str) -> frozenset[str]:
    """Names of people on the Hub. Raises UserError for what is none, which would let nobody in without a word."""
    if wrong := [word for word in split_words(text) if not HUB_NAME.fullmatch(word)]:
        raise UserError(
            f"STUDIO_OWNERS has {wrong[0]!r} in it, which is no name on the Hub.",
            "Write names as in their addresses, with commas between them.",
        )
    return frozenset(split_words(text))


def split_words(text: str) -> list[str]:
    return text.replace(",", " ").lower().split()


def parse_rates(text: str) -> tuple[int, int]:
    try:
        user, total = (int(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"STUDIO_MESSAGES_PER_MINUTE is {text!r}.", "Write two numbers, per person and in total, such as 12,60."
        ) from None
    return user, total


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def equal_secrets(given: str | None, wanted: str | None) -> bool:
    """Equal and not empty, in a time that does not tell how much of it is right."""
    return bool(given and wanted) and hmac.compare_digest(str(given).encode(), str(wanted).encode())


def token_cookie(token: str, secret: bytes) -> str:
    """The cookie that a token becomes: with this studio's `secret` in it, it cannot be calculated from a guess."""
    return hmac.digest(secret, token.encode(), "sha256").hex()


def load_cookie_secret(home: Home) -> bytes:
    """256 random bits of this studio's own, which stay the same when it starts again. They never leave the machine."""
    path = home.processes / "cookie-secret"
    secret = damaged_files.read(path, parse_secret)
    if secret is None:  # with another one than before, everybody who was in signs in anew
        secret = secrets.token_bytes(SECRET_BYTES)
        try:
            write_atomic(path, secret.hex())  # readable by this user alone
        except OSError as error:
            if not no_room(error):
                raise
            log.warning("the disk is full, so people have to sign in anew when this studio is started again")
    return secret


def parse_secret(content: bytes) -> bytes:
    """Raises ValueError for what is shorter: cookies could be guessed."""
    secret = bytes.fromhex(content.decode("ascii"))
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"it has {len(secret)} bytes instead of {SECRET_BYTES}")
    return secret


def user_of(request: Any) -> User:
    """Who sent a gr.Request or a Starlette request; UNAUTHENTICATED when it did not come through AccessMiddleware."""
    scope = getattr(request, "request", request)
    scope = getattr(scope, "scope", None) or {}
    user = scope.get(SCOPE_KEY)
    return user if isinstance(user, User) else UNAUTHENTICATED

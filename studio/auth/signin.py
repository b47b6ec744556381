"""Signing in with Hugging Face on a Space: OpenID Connect's code flow with PKCE (RFC 6749, RFC 7636).

The browser gets a random session id and nothing else; who that is, and their Hub token, stay in this process's memory
until the token expires. A restarted Space asks people to sign in again. Of a sign-in under way nothing is kept: its
state carries its time and this process's signature, so that nobody's can be pushed out by others'.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import math
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from studio.auth.identity import AccessSettings, Provider, User, same
from studio.ui.templating import render

log = logging.getLogger(__name__)

COOKIE = "guanaco_studio_session"
PENDING_COOKIE = "guanaco_studio_signing_in"
CALLBACK = "/login/callback"
PATHS = ("/login/huggingface", CALLBACK)
PENDING_SECONDS = 600
LONGEST_SECONDS = 8 * 3600
MOST = 10_000  # sessions; the oldest are forgotten first,
MOST_OF_ONE = 20  # so nobody has so many that others' go


UNUSABLE = (httpx.HTTPError, KeyError, TypeError, ValueError)  # a provider's answer that raises one of these


@dataclass(frozen=True)
class Session:
    user: User
    expires: float


class Sessions:
    """Who is signed in. Ids are kept as hashes: what leaks from memory into a dump opens no session."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Session] = OrderedDict()

    def open(self, user: User, seconds: float) -> str:
        session_id = secrets.token_urlsafe(32)
        own = [key for key, session in self._of.items() if session.user.key == user.key]
        for oldest in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            del self._of[oldest]
        self._of[hashed(session_id)] = Session(user, time.time() + seconds)
        while len(self._of) > MOST:
            self._of.popitem(last=False)
        return session_id

    def user(self, session_id: str | None) -> User | None:
        if not session_id:
            return None
        session = self._of.get(hashed(session_id))
        if session is None:
            return None
        if session.expires <= time.time():
            del self._of[hashed(session_id)]
            return None
        return session.user

    def close(self, session_id: str | None) -> None:
        self._of.pop(hashed(session_id or ""), None)


class SignIns:
    """The sign-ins under way, which are told from made-up ones by what only this process can calculate."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def begin(self) -> str:
        """A state: random, with the time in it, and signed."""
        asked = f"{secrets.token_urlsafe(32)}.{int(time.time())}"
        return f"{asked}.{self._of('state', asked)}"

    def under_way(self, state: str) -> bool:
        """Whether `state` was begun here, not too long ago."""
        asked, _, signature = state.rpartition(".")
        return same(signature, self._of("state", asked)) and (
            time.time() - int(asked.rpartition(".")[2]) < PENDING_SECONDS
        )

    def verifier(self, state: str) -> str:
        """The code verifier of RFC 7636, which the browser never has."""
        return self._of("verifier", state)

    def _of(self, what: str, text: str) -> str:
        return hmac.digest(self._secret, f"{what} {text}".encode(), "sha256").hex()


def router(settings: AccessSettings, provider: Provider, sessions: Sessions) -> APIRouter:
    """The three addresses of signing in and out."""
    routes = APIRouter()
    sign_ins = SignIns()
    origin = f"https://{min(settings.hosts)}" if settings.hosts else ""

    def redirect_uri(request: Request) -> str:
        return (origin or str(request.base_url).rstrip("/")) + CALLBACK

    @routes.get("/login/huggingface")
    async def sign_in(request: Request) -> Response:
        state = sign_ins.begin()
        digest = hashlib.sha256(sign_ins.verifier(state).encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri(request),
            "scope": provider.scopes,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        try:
            endpoint = (await discover(provider))["authorization_endpoint"]
        except UNUSABLE as failure:
            return sorry("Hugging Face could not be asked.", failure, 503)
        answer = RedirectResponse(f"{endpoint}?{urlencode(asked)}", 303)
        # The answer must come back to the browser that asked: otherwise one could sign others in as oneself.
        answer.set_cookie(
            PENDING_COOKIE, state, max_age=PENDING_SECONDS, httponly=True, secure=bool(origin), samesite="lax"
        )
        return answer

    @routes.get(CALLBACK)
    async def called_back(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
        if not same(request.cookies.get(PENDING_COOKIE), state) or not sign_ins.under_way(state):
            return sorry("This sign-in took too long, or was begun in another window.")
        if error or not code:
            return sorry("Hugging Face did not confirm the sign-in.")
        try:
            token, seconds, profile = await exchange(provider, code, sign_ins.verifier(state), redirect_uri(request))
            user = settings.by_profile(profile, token)
        except UNUSABLE as failure:
            return sorry("Hugging Face's answer could not be used.", failure)
        answer = RedirectResponse("/", 303)
        # Inside the Hub's page the studio is a frame of another site, where only SameSite=None cookies are sent.
        # What that opens for other sites, Access closes: it refuses state-changing calls of another origin.
        answer.set_cookie(
            COOKIE,
            sessions.open(user, seconds),
            max_age=int(seconds),
            httponly=True,
            secure=bool(origin),
            samesite="none" if origin else "lax",
        )
        answer.delete_cookie(PENDING_COOKIE)
        return answer

    @routes.post("/logout")
    async def sign_out(request: Request) -> Response:
        sessions.close(request.cookies.get(COOKIE))
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE, httponly=True, secure=bool(origin), samesite="none" if origin else "lax")
        return answer

    return routes


async def discover(provider: Provider) -> dict[str, str]:
    async with httpx.AsyncClient(timeout=10.0) as http:
        answer = await http.get(f"{provider.url}/.well-known/openid-configuration")
        return dict(answer.raise_for_status().json())


async def exchange(
    provider: Provider, code: str, verifier: str, redirect_uri: str
) -> tuple[str, float, dict[str, object]]:
    """(Hub token, seconds it lasts, userinfo) for an authorization code.

    Who it is comes from the provider's own userinfo endpoint, asked directly, so no ID token needs to be verified.
    Raises what is in UNUSABLE when the provider's answers are not as they must be.
    """
    endpoints = await discover(provider)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    async with httpx.AsyncClient(timeout=10.0) as http:
        answer = await http.post(
            endpoints["token_endpoint"], data=form, auth=(provider.client_id, provider.client_secret)
        )
        granted = answer.raise_for_status().json()
        token = granted["access_token"]
        if not isinstance(token, str) or not token:
            raise ValueError("the provider gave no token")
        answer = await http.get(endpoints["userinfo_endpoint"], headers={"Authorization": f"Bearer {token}"})
        profile = dict(answer.raise_for_status().json())
    return token, lifetime(granted.get("expires_in", LONGEST_SECONDS)), profile


def lifetime(expires_in: object) -> float:
    """Seconds that a session lasts: as long as its token, and never too long. Raises ValueError for no such number."""
    seconds = float(str(expires_in))
    if not 0 < seconds < math.inf:
        raise ValueError("a token's lifetime is a number of seconds")
    return min(seconds, LONGEST_SECONDS)


def sorry(reason: str, failure: Exception | None = None, status: int = 400) -> HTMLResponse:
    """No request's own text is in the page, and nothing of what failed."""
    if failure is not None:
        log.warning("a sign-in failed: %s", type(failure).__name__)
    return HTMLResponse(render("auth/sign_in_failed.html", reason=reason), status)


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

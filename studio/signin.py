"""Signing in with Hugging Face on a Space: OpenID Connect's code flow with PKCE (RFC 6749, RFC 7636).

The browser gets a random session id and nothing else; who that is, and their Hub token, stay in this process's memory
until the token expires. A restarted Space asks people to sign in again.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from studio.people import AccessSettings, Person, Provider, same

log = logging.getLogger(__name__)

COOKIE = "guanaco_studio_session"
PENDING_COOKIE = "guanaco_studio_signing_in"
CALLBACK = "/login/callback"
PENDING_SECONDS = 600
LONGEST_SECONDS = 8 * 3600
MOST = 10_000  # sessions, and sign-ins under way; the oldest are forgotten first


@dataclass(frozen=True)
class Session:
    person: Person
    expires: float


class Sessions:
    """Who is signed in. Ids are kept as hashes: what leaks from memory into a dump opens no session."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Session] = OrderedDict()

    def open(self, person: Person, seconds: float) -> str:
        session_id = secrets.token_urlsafe(32)
        self._of[hashed(session_id)] = Session(person, time.time() + seconds)
        while len(self._of) > MOST:
            self._of.popitem(last=False)
        return session_id

    def person(self, session_id: str | None) -> Person | None:
        if not session_id:
            return None
        session = self._of.get(hashed(session_id))
        if session is None:
            return None
        if session.expires <= time.time():
            del self._of[hashed(session_id)]
            return None
        return session.person

    def close(self, session_id: str | None) -> None:
        self._of.pop(hashed(session_id or ""), None)


def router(settings: AccessSettings, provider: Provider, sessions: Sessions) -> APIRouter:
    """The three addresses of signing in and out."""
    routes = APIRouter()
    # state -> (code verifier, when it was made)
    pending: OrderedDict[str, tuple[str, float]] = OrderedDict()
    origin = f"https://{min(settings.hosts)}" if settings.hosts else ""

    def redirect_uri(request: Request) -> str:
        return (origin or str(request.base_url).rstrip("/")) + CALLBACK

    @routes.get("/login/huggingface")
    async def sign_in(request: Request) -> Response:
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        pending[state] = (verifier, time.time())
        while len(pending) > MOST:
            pending.popitem(last=False)
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri(request),
            "scope": provider.scopes,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
            .rstrip(b"=")
            .decode(),
            "code_challenge_method": "S256",
        }
        endpoint = (await discover(provider))["authorization_endpoint"]
        answer = RedirectResponse(f"{endpoint}?{urlencode(asked)}", 303)
        # The answer must come back to the browser that asked: otherwise one could sign others in as oneself.
        answer.set_cookie(
            PENDING_COOKIE, state, max_age=PENDING_SECONDS, httponly=True, secure=bool(origin), samesite="lax"
        )
        return answer

    @routes.get(CALLBACK)
    async def called_back(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
        verifier, made = pending.pop(state, ("", 0.0))
        if not verifier or made < time.time() - PENDING_SECONDS or not same(request.cookies.get(PENDING_COOKIE), state):
            return sorry("This sign-in took too long, or was begun in another window.")
        if error or not code:
            return sorry("Hugging Face did not confirm the sign-in.")
        try:
            token, seconds, profile = await exchange(provider, code, verifier, redirect_uri(request))
        except (httpx.HTTPError, KeyError, ValueError) as failure:
            log.warning("a sign-in failed: %s", type(failure).__name__)
            return sorry("Hugging Face's answer could not be used.")
        person = settings.by_profile(profile, token)
        answer = RedirectResponse("/", 303)
        # Inside the Hub's page the studio is a frame of another site, where only SameSite=None cookies are sent.
        # What that opens for other sites, Access closes: it refuses state-changing calls of another origin.
        answer.set_cookie(
            COOKIE,
            sessions.open(person, seconds),
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
    Raises httpx.HTTPError, KeyError or ValueError when the provider's answers are not as they must be.
    """
    endpoints = await discover(provider)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    async with httpx.AsyncClient(timeout=10.0) as http:
        answer = await http.post(
            endpoints["token_endpoint"], data=form, auth=(provider.client_id, provider.client_secret)
        )
        granted = answer.raise_for_status().json()
        token = str(granted["access_token"])
        answer = await http.get(endpoints["userinfo_endpoint"], headers={"Authorization": f"Bearer {token}"})
        profile = dict(answer.raise_for_status().json())
    if not profile["preferred_username"]:
        raise ValueError("the provider gave no name")
    return token, min(float(granted.get("expires_in", LONGEST_SECONDS)), LONGEST_SECONDS), profile


def sorry(reason: str) -> HTMLResponse:
    """No request's own text is in the page."""
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Guanaco Studio</title>'
        f'<p>{reason}</p><p><a href="/login/huggingface">Sign in again</a> · <a href="/">Go on as a visitor</a></p>',
        400,
    )


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

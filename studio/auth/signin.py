"""Signing in with Hugging Face on a Space: the three addresses, around the requests to the provider (openid.py).

The browser gets a random session id and nothing else; who that is, and their Hub token, stay in this process's memory
(sessions.py) until the token expires. Of a sign-in under way nothing is stored, which is why its state and its code
verifier are made here and not by Authlib: the state carries its time and this process's signature, so that nobody's can
be pushed out by others', and the verifier follows from the state by a secret of this process.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import time

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from studio.auth.identity import AccessSettings, Provider, equal_secrets
from studio.auth.sessions import Sessions
from studio.html.templating import render

log = logging.getLogger(__name__)

COOKIE = "guanaco_studio_session"
PENDING_COOKIE = "guanaco_studio_signing_in"
CALLBACK = "/login/callback"
PATHS = ("/login/huggingface", CALLBACK)
PENDING_SECONDS = 600


class PendingSignIns:
    """The sign-ins under way, which are told from made-up ones by what only this process can calculate."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def begin(self) -> str:
        """A state: random, with the time in it, and signed."""
        payload = f"{secrets.token_urlsafe(32)}.{int(time.time())}"
        return f"{payload}.{self._sign('state', payload)}"

    def is_pending(self, state: str) -> bool:
        """Whether `state` was begun here, not too long ago."""
        payload, _, signature = state.rpartition(".")
        return equal_secrets(signature, self._sign("state", payload)) and (
            time.time() - int(payload.rpartition(".")[2]) < PENDING_SECONDS
        )

    def code_verifier(self, state: str) -> str:
        """The code verifier of RFC 7636, which the browser never has."""
        return self._sign("verifier", state)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.digest(self._secret, f"{purpose} {text}".encode(), "sha256").hex()


def router(settings: AccessSettings, provider: Provider, sessions: Sessions) -> APIRouter:
    """The three addresses of signing in and out."""
    from studio.auth import openid  # Authlib takes a while to import, and only a Space needs it

    routes = APIRouter()
    sign_ins = PendingSignIns()
    origin = f"https://{min(settings.hosts)}" if settings.hosts else ""

    def redirect_uri(request: Request) -> str:
        return (origin or str(request.base_url).rstrip("/")) + CALLBACK

    @routes.get("/login/huggingface")
    async def sign_in(request: Request) -> Response:
        state = sign_ins.begin()
        verifier = sign_ins.code_verifier(state)
        try:
            url = await openid.authorization_url(provider, redirect_uri(request), state, verifier)
        except openid.PROVIDER_ERRORS as error:
            return failure_page("Hugging Face could not be asked.", error, 503)
        answer = RedirectResponse(url, 303)
        # The answer must come back to the browser that asked: otherwise one could sign others in as oneself.
        answer.set_cookie(
            PENDING_COOKIE, state, max_age=PENDING_SECONDS, httponly=True, secure=bool(origin), samesite="lax"
        )
        return answer

    @routes.get(CALLBACK)
    async def finish_sign_in(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
        if not equal_secrets(request.cookies.get(PENDING_COOKIE), state) or not sign_ins.is_pending(state):
            return failure_page("This sign-in took too long, or was begun in another window.")
        if error or not code:
            return failure_page("Hugging Face did not confirm the sign-in.")
        verifier = sign_ins.code_verifier(state)
        try:
            token, seconds, profile = await openid.exchange_code(provider, redirect_uri(request), code, verifier)
            user = settings.user_by_profile(profile, token)
        except openid.PROVIDER_ERRORS as failure:
            return failure_page("Hugging Face's answer could not be used.", failure)
        answer = RedirectResponse("/", 303)
        # Inside the Hub's page the studio is a frame of another site, where only SameSite=None cookies are sent.
        # What that opens for other sites, AccessMiddleware closes: it refuses state-changing calls of another origin.
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


def failure_page(reason: str, error: Exception | None = None, status: int = 400) -> HTMLResponse:
    """No request's own text is in the page, and nothing of what failed."""
    if error is not None:
        log.warning("a sign-in failed: %s", type(error).__name__)
    return HTMLResponse(render("auth/sign_in_failed.html", reason=reason), status)

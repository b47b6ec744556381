"""Who may come in: on 127.0.0.1 everyone at this machine; anywhere else only who has the access token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import UserError

COOKIE = "guanaco_studio_access"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]", "::1")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/healthz",)
SIGN_IN_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Guanaco Studio</title>
<body style="font-family:system-ui;max-width:26rem;margin:20vh auto;padding:0 1rem">
<h1>Guanaco Studio</h1><p>{message}</p>
<form method="post" action="/access"><label>Access token
<input name="token" type="password" autofocus required style="width:100%;padding:.5rem;margin:.5rem 0"></label>
<button style="padding:.5rem 1rem">Open</button></form></body></html>"""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_binding(host: str, access_token: str | None) -> None:
    """Refuse to serve strangers. Raises UserError for an address beyond this machine without an access token."""
    if not is_loopback(host) and not access_token:
        raise UserError(
            f"Binding to {host} would let anyone who reaches this machine train, push and delete.",
            "Set an access token (--access-token or STUDIO_ACCESS_TOKEN), or keep the default --host 127.0.0.1.",
        )


class Access:
    """ASGI middleware in front of everything: the page, /v1, /tensorboard, and every Gradio event.

    Without a token only this machine is served: the Host header must name it, which stops DNS rebinding. With a token,
    a request needs it as a bearer token, or as the cookie that the sign-in form (or a link with ?token=, once) sets.
    State-changing calls from a page of another origin are refused in both cases.
    """

    def __init__(self, app: ASGIApp, access_token: str | None = None) -> None:
        self.app = app
        self.access_token = access_token
        self.cookie = hashlib.sha256(f"guanaco-studio:{access_token}".encode()).hexdigest() if access_token else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        refusal = self._foreign(scope) or (await self._sign_in(scope, receive) if self.access_token else None)
        await (refusal or self.app)(scope, receive, send)

    def _foreign(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self.access_token and host.rsplit(":", 1)[0] not in LOCAL_HOSTS:
            return refused(400, f"This studio serves 127.0.0.1 and localhost only, not {host!r}.")
        origin = headers.get("origin")
        if scope.get("method", "GET") not in SAFE_METHODS and origin and urlsplit(origin).netloc != host:
            return refused(403, f"A page of another origin ({origin}) may not change anything here.")
        return None

    async def _sign_in(self, scope: Scope, receive: Receive) -> Response | None:
        """None when the request is signed in, else what to answer instead."""
        request = Request(scope, receive)
        if self._is_cookie(request.cookies.get(COOKIE)) or self._is_token(bearer(request.headers)):
            return None
        if scope["path"] == "/access" and scope["method"] == "POST":
            form = dict(parse_qsl((await request.body())[:4096].decode(errors="replace")))
            if self._is_token(form.get("token")):
                return self._welcome("/")
            return HTMLResponse(SIGN_IN_PAGE.format(message="That is not the token."), 401)
        given = request.query_params.get("token")
        if self._is_token(given):
            rest = urlencode([(key, value) for key, value in request.query_params.multi_items() if key != "token"])
            return self._welcome(scope["path"] + (f"?{rest}" if rest else ""))
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(SIGN_IN_PAGE.format(message="This studio asks for its access token."), 401)
        return refused(401, "This studio needs its access token as 'Authorization: Bearer …'.")

    def _welcome(self, location: str) -> Response:
        # A path that begins with two slashes would be another host.
        answer = RedirectResponse("/" + location.lstrip("/"), 303)
        answer.set_cookie(COOKIE, self.cookie, httponly=True, samesite="lax", max_age=30 * 24 * 3600)
        return answer

    def _is_token(self, given: str | None) -> bool:
        return bool(given) and hmac.compare_digest(str(given).encode(), str(self.access_token).encode())

    def _is_cookie(self, given: str | None) -> bool:
        return bool(given) and hmac.compare_digest(str(given), self.cookie)


def bearer(headers: Headers) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def refused(status: int, message: str) -> JSONResponse:
    """A refusal in OpenAI's error shape, which API clients show as it is."""
    return JSONResponse({"error": {"message": message, "type": "access", "param": None, "code": None}}, status)

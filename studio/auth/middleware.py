"""The access middleware: every request passes it, to the page, each of Gradio's events, /v1, /metrics, /tensorboard.

It finds out who asks, and refuses what studio/auth/permissions.py does not allow them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.auth import event_shapes
from studio.auth.identity import (
    LOCAL_OWNER,
    SCOPE_KEY,
    UNAUTHENTICATED,
    AccessSettings,
    Role,
    User,
    load_cookie_secret,
    token_cookie,
)
from studio.auth.limits import RateLimits, client_address
from studio.auth.page_memory import PageMemory
from studio.auth.permissions import (
    COUNTED,
    EMBEDDED,
    EMBEDDED_PATHS,
    EVENT_PATHS,
    KEY_PATHS,
    MESSAGE_PATHS,
    QUEUE_PATH,
    Needed,
    event_name,
    needed_for,
    role_for,
)
from studio.auth.security_headers import with_headers
from studio.auth.sessions import Sessions
from studio.auth.signin import COOKIE as SESSION_COOKIE
from studio.auth.signin import PATHS as SIGN_IN_PATHS
from studio.html.templating import render
from studio.web.request_bodies import Refusal, bounded, replayed

if TYPE_CHECKING:
    import gradio as gr

    from studio.auth.keys import Keys

ROLE_WORDS = {Role.STRANGER: "a stranger", Role.VISITOR: "a visitor", Role.USER: "a user", Role.OWNER: "the owner"}
COOKIE = "guanaco_studio_access"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# A little over what the page takes, so that its own refusal, which is friendlier, comes first.
MAX_UPLOAD_BYTES = 110 << 20
MAX_BODY_BYTES = 8 << 20
# Of who is not the owner: a browser's conversations (1 MiB) and what is in the columns fit.
MAX_OTHERS_BODY_BYTES = 3 << 20
# Of one person, and of all but the owner: a brake on floods; large ones count more.
EVENTS_PER_MINUTE = (3_000, 15_000)
SIGN_INS_PER_MINUTE = (20, math.inf)  # two requests each, from one address; others' are not kept out by however many
GUESSES_PER_MINUTE = (10, 1_000)  # wrong tokens, from one address and from all: a token may be a short word


class AccessMiddleware:
    """ASGI middleware. It finds out who asks, compares with the table, and puts the User into the scope.

    Without any access control only this machine is served: the Host header must name it, which stops DNS rebinding.
    State-changing calls from a page of another origin are refused always.
    """

    def __init__(
        self, app: ASGIApp, settings: AccessSettings, page: gr.Blocks, keys: Keys, sessions: Sessions | None = None
    ) -> None:
        self.app = app
        self.settings = settings
        self.page = page
        self.keys = keys
        self.sessions = sessions or Sessions()
        self.limits = RateLimits(*settings.messages_per_minute)
        self.events = RateLimits(*EVENTS_PER_MINUTE)
        self.memory = PageMemory(page)
        self.guesses = RateLimits(*GUESSES_PER_MINUTE)
        self.sign_ins = RateLimits(*SIGN_INS_PER_MINUTE)
        self.secret = load_cookie_secret(keys.home) if settings.access_token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # nothing here speaks WebSocket
            return
        send = with_headers(send, in_a_frame=self.settings.provider is not None)
        try:
            answer, receive = await self._check(scope, receive)
        except Refusal as refusal:
            answer = error_response(refusal)
        if answer is not None:
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _check(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """What to answer instead of the app (or None), and from where the app reads the body. Raises Refusal."""
        request = Request(scope, receive)
        method, path = request.method, scope["path"]
        self._check_origin(request)
        if method == "OPTIONS" and "access-control-request-method" in request.headers:
            return None, receive  # CORSMiddleware behind this one answers it, and never passes it on
        if request.headers.get("sec-fetch-dest") in EMBEDDED and not EMBEDDED_PATHS.fullmatch(path):
            raise Refusal(403, "This is no picture: an answer that shows it as one has it asked for in vain.")
        if (answer := await self._answer_token(request)) is not None:
            return answer, receive
        user = self._identify(request)
        scope[SCOPE_KEY] = user
        needed = needed_for(method, path)
        if needed is None:
            raise Refusal(404, f"There is no {method} {path} here.")
        if not (user.role >= needed if isinstance(needed, Role) else user.sees_runs):
            if user.role is Role.STRANGER and "text/html" in request.headers.get("accept", ""):
                return token_form("This studio asks for its access token."), receive
            raise not_permitted(user, needed)
        if path in SIGN_IN_PATHS and (seconds := self.sign_ins.count(client_address(request))):
            raise rate_limited("Too many sign-ins were begun from here", seconds)
        most = MAX_BODY_BYTES if user.role is Role.OWNER else MAX_OTHERS_BODY_BYTES
        receive = bounded(request, MAX_UPLOAD_BYTES if path == "/gradio_api/upload" else most)
        if path in EVENT_PATHS:
            receive = await self._read_event(request, receive, user)
        elif MESSAGE_PATHS.fullmatch(path):
            self._count_message(user)
        return None, receive

    def _check_origin(self, request: Request) -> None:
        host = request.headers.get("host", "").lower()
        if self.settings.local and host.rsplit(":", 1)[0] not in LOCAL_HOSTS and host not in LOCAL_HOSTS:
            raise Refusal(400, f"This studio serves 127.0.0.1 and localhost only, not {host!r}.")
        if request.method in SAFE_METHODS:
            return
        origin = request.headers.get("origin")
        if origin is None:  # no browser leaves it out of a POST; if one did, it would say from where it comes like this
            own = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        elif origin in self.settings.cors_origins and KEY_PATHS.fullmatch(request.scope["path"]):
            own = True
        else:
            netloc = origin.partition("://")[2].lower()  # empty for the origin "null"
            own = bool(netloc) and netloc in {host, *self.settings.hosts}
        if not own:
            raise Refusal(403, f"A page of another origin ({origin}) may not change anything here.")

    def _identify(self, request: Request) -> User:
        """Who sent this. Raises Refusal for a key or token that is not one."""
        settings = self.settings
        if settings.local:
            return LOCAL_OWNER
        if (given := bearer_token(request.headers)) is not None:
            address = self._check_guesses(request)
            user = settings.user_by_token(given)
            if user is None and KEY_PATHS.fullmatch(request.scope["path"]):
                user = self.keys.find_user(given)
            if user is not None:
                return with_address_key(user, request)
            # A private Space's own proxy wants the caller's Hub token here: it is none of our business.
            if not (settings.provider and given.startswith("hf_")):
                self.guesses.count(address)
                raise Refusal(401, "This token or API key is not known here (any more).")
        if settings.provider is not None:
            signed_in = self.sessions.find_user(request.cookies.get(SESSION_COOKIE))
            return signed_in or settings.visitor(client_address(request))
        return with_address_key(
            settings.user_by_cookie(request.cookies.get(COOKIE), self.secret) or UNAUTHENTICATED, request
        )

    async def _answer_token(self, request: Request) -> Response | None:
        """A token in the sign-in form, or once in a link, becomes a cookie; the link is left at once."""
        if not (self.settings.access_token or self.settings.user_token):
            return None
        path = request.scope["path"]
        if path == "/access" and request.method == "POST":
            address = self._check_guesses(request)
            receive = bounded(request, 4096)
            form = dict(parse_qsl((await Request(request.scope, receive).body()).decode(errors="replace")))
            if self.settings.user_by_token(form.get("token")) is None:
                self.guesses.count(address)
                return token_form("That is not the token.")
            return self._welcome(request, form["token"], "/")
        given = request.query_params.get("token")
        if request.method == "GET" and given:
            address = self._check_guesses(request)
            if self.settings.user_by_token(given) is not None:
                rest = urlencode([(key, value) for key, value in request.query_params.multi_items() if key != "token"])
                return self._welcome(request, given, path + (f"?{rest}" if rest else ""))
            self.guesses.count(address)
        return None

    def _check_guesses(self, request: Request) -> str:
        """From which address a token is shown. Raises Refusal when too many wrong ones came from there."""
        address = client_address(request, behind_proxy=self.settings.provider is not None)
        if seconds := self.guesses.seconds_to_wait(address):
            raise rate_limited("Too many wrong tokens came from here", seconds)
        return address

    def _welcome(self, request: Request, token: str, location: str) -> Response:
        # A path that begins with two slashes would be another host.
        answer = RedirectResponse("/" + location.lstrip("/\\"), 303, {"Referrer-Policy": "no-referrer"})
        secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").split(",")[0].strip())
        answer.set_cookie(
            COOKIE,
            token_cookie(token, self.secret),
            httponly=True,
            samesite="lax",
            secure=secure,
            max_age=30 * 24 * 3600,
        )
        return answer

    async def _read_event(self, request: Request, receive: Receive, user: User) -> Receive:
        """A body with an event that `user` may trigger, and that can mean nothing else to Gradio. Raises Refusal."""
        owner = user.role is Role.OWNER
        if not owner and (seconds := self.events.seconds_to_wait(user.key)):
            raise rate_limited("These are too many requests", seconds)
        given = await Request(request.scope, receive).body()
        if not owner and (seconds := self.events.count(user.key, event_shapes.event_weight(given))):
            raise rate_limited("These are too many requests", seconds)
        event = event_shapes.parse_event(given, bounded=not owner)
        function = self.page.fns.get(event.fn_index) if event.fn_index is not None else None
        role = role_for(function.fn) if function is not None else None
        if function is None or role is None:
            raise Refusal(403, "There is no such event of the page.")
        if user.role < role:
            raise not_permitted(user, role)
        body = event_shapes.serialize_event(event)
        if not owner:
            event_shapes.check_inputs(event, body, function.inputs)
        if event_name(function.fn) in COUNTED:
            self._count_message(user)
        if event.session_hash:
            queued = request.scope["path"] == QUEUE_PATH
            await self.memory.admit(event.session_hash, user, len(body), queued=queued)
        return replayed(body, request)

    def _count_message(self, user: User) -> None:
        if user.role < Role.OWNER and (seconds := self.limits.count(user.key)):
            hint = "" if user.role > Role.VISITOR else " Who signs in is counted alone."
            raise rate_limited("Many people are asking at once", seconds, hint)


def token_form(message: str) -> HTMLResponse:
    """The page on which a person types the access token."""
    return HTMLResponse(render("auth/access_token.html", message=message), 401)


def with_address_key(user: User, request: Request) -> User:
    """Users who share one token are counted one by one all the same, by their address."""
    return replace(user, key=f"user:{client_address(request, behind_proxy=False)}") if user.key == "user" else user


def rate_limited(what: str, seconds: int, hint: str = "") -> Refusal:
    return Refusal(429, f"{what}: try again in {seconds} s.{hint}", {"Retry-After": str(seconds)})


def bearer_token(headers: Headers) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def not_permitted(user: User, needed: Needed) -> Refusal:
    if user.role is Role.STRANGER:
        return Refusal(401, "This studio needs its access token as 'Authorization: Bearer …'.")
    who = "Who is signed in" if needed is Role.USER else "Only the owner of this studio"
    return Refusal(403, f"{who} may do this; you are here as {ROLE_WORDS[user.role]}.")


KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_response(refusal: HTTPException) -> JSONResponse:
    """OpenAI's error shape, which API clients show as it is; and `detail`, which the page shows."""
    status = refusal.status_code
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": refusal.detail, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": error, "detail": refusal.detail}, status, refusal.headers)

"""A small OpenID provider over HTTP, as a Space's environment describes the real one: code flow with PKCE."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]
CLIENT_ID, CLIENT_SECRET = "the-space", "the-spaces-own-secret"


class OpenIDProvider:
    """Whoever comes is signed in as `profile`, or turned down when that is None. close() ends it.

    answers: (status, JSON) by path, given in place of the right ones.
    """

    def __init__(self) -> None:
        self.profile: dict[str, Any] | None = None
        self.answers: dict[str, tuple[int, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        routes = [
            Route("/.well-known/openid-configuration", self._or_answer(self.configuration)),
            Route("/authorize", self.authorize),
            Route("/token", self._or_answer(self.token), methods=["POST"]),
            Route("/userinfo", self._or_answer(self.userinfo)),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="critical",
            lifespan="off",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()

    def _or_answer(self, endpoint: Endpoint) -> Endpoint:
        async def answered(request: Request) -> Response:
            if (answer := self.answers.get(request.url.path)) is None:
                return await endpoint(request)
            return Response(json.dumps(answer[1]), answer[0], media_type="application/json")

        return answered

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def configuration(self, request: Request) -> Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        return JSONResponse({"issuer": self.url} | {name: f"{self.url}/{path}" for name, path in names.items()})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if asked["client_id"] != CLIENT_ID or asked["code_challenge_method"] != "S256":
            return JSONResponse({"error": "invalid_request"}, 400)
        answer = {"state": asked["state"]}
        if self.profile is None:
            answer["error"] = "access_denied"
        else:
            answer["code"] = secrets.token_urlsafe(8)
            self.codes[answer["code"]] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 303)

    async def token(self, request: Request) -> Response:
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        known = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {known}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form.get("redirect_uri")
            or self.profile is None
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = f"hf_oauth_{secrets.token_urlsafe(8)}"
        self.tokens[token] = self.profile
        return JSONResponse(
            {"access_token": token, "token_type": "bearer", "expires_in": 3600, "scope": asked["scope"]}
        )

    async def userinfo(self, request: Request) -> Response:
        profile = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return JSONResponse(profile or {"error": "invalid_token"}, 200 if profile else 401)

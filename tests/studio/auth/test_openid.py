"""The requests to an OpenID provider: what it is asked, and answers of it that cannot be used."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from studio.auth.identity import Provider
from studio.auth.openid import PROVIDER_ERRORS, authorization_url, exchange_code
from tests.studio.auth.openid import CLIENT_ID, CLIENT_SECRET, OpenIDProvider

CALLBACK = "https://ada-studio.hf.space/login/callback"
VERIFIER = "a" * 64
CONFIGURATION = "/.well-known/openid-configuration"
NO_TOKENS: tuple[Any, ...] = ([], None, 7, "x", {}, {"error": "invalid_grant"})
NO_ENDPOINTS: tuple[Any, ...] = (None, [], {}, "x")
GRANTED: dict[str, Any] = {"access_token": "hf_oauth_x", "token_type": "bearer", "expires_in": 3600}


@pytest.fixture
def ada(provider: OpenIDProvider) -> Iterator[OpenIDProvider]:
    provider.profile = {"preferred_username": "Ada"}
    provider.answers.clear()
    yield provider
    provider.answers.clear()


def settings_of(server: OpenIDProvider) -> Provider:
    return Provider(server.url, CLIENT_ID, CLIENT_SECRET, "openid profile")


def exchange(server: OpenIDProvider, verifier: str = VERIFIER) -> tuple[str, float, dict[str, Any]]:
    """Sign in up to the callback, and exchange the code that it brings."""
    url = asyncio.run(authorization_url(settings_of(server), CALLBACK, "the-state", VERIFIER))
    back = parse_qs(urlsplit(httpx.get(url, verify=False).headers["location"]).query)
    assert back["state"] == ["the-state"]
    return asyncio.run(exchange_code(settings_of(server), CALLBACK, back["code"][0], verifier))


def test_what_the_provider_is_asked_and_what_comes_of_it(ada: OpenIDProvider) -> None:
    url = asyncio.run(authorization_url(settings_of(ada), CALLBACK, "the-state", VERIFIER))
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": [CLIENT_ID],
        "redirect_uri": [CALLBACK],
        "scope": ["openid profile"],
        "state": ["the-state"],
        "code_challenge": ["_-BU_nrgy23GXDr5th1SCfQ5hR20PQulmXM33xVGaOs"],
        "code_challenge_method": ["S256"],
    }
    token, seconds, profile = exchange(ada)
    assert (token in ada.tokens, seconds, profile) == (True, 3600, {"preferred_username": "Ada"})


def test_a_code_without_its_verifier_is_refused(ada: OpenIDProvider) -> None:
    with pytest.raises(PROVIDER_ERRORS):
        exchange(ada, "b" * 64)


@pytest.mark.parametrize("granted", [{}, {"expires_in": 30}, {"expires_in": 10**9}, {"token_type": "Bearer"}])
def test_a_token_that_ends_soon_or_late_is_used(ada: OpenIDProvider, granted: dict[str, Any]) -> None:
    ada.tokens["hf_oauth_x"] = {"preferred_username": "Ada"}
    ada.answers["/token"] = (200, GRANTED | granted)
    assert exchange(ada)[2] == {"preferred_username": "Ada"}


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        *[("/token", status, GRANTED) for status in (302, 400, 401, 500)],
        *[("/token", 200, answer) for answer in NO_TOKENS],
        *[("/token", 200, GRANTED | {"access_token": token}) for token in (None, "", 7, ["x"])],
        *[("/token", 200, GRANTED | {"token_type": kind}) for kind in (None, 7, "mac")],
        *[("/token", 200, GRANTED | {"expires_in": end}) for end in (0, -1, "soon", [60], None)],
        *[("/token", 200, GRANTED | {"expires_in": end}) for end in (float("nan"), float("inf"))],
        *[("/userinfo", 200, answer) for answer in (None, 7, "Ada", [1])],
        *[("/userinfo", status, {"preferred_username": "ada"}) for status in (302, 401, 500)],
        *[(CONFIGURATION, 200, answer) for answer in NO_ENDPOINTS],
        *[(CONFIGURATION, 200, {"authorization_endpoint": endpoint}) for endpoint in (None, 7, ["x"])],
        (CONFIGURATION, 404, {}),
    ],
)
def test_an_answer_that_is_not_as_it_must_be_is_an_error(
    ada: OpenIDProvider, caplog: pytest.LogCaptureFixture, path: str, status: int, answer: Any
) -> None:
    ada.tokens["hf_oauth_x"] = {"preferred_username": "Ada"}
    ada.answers[path] = (status, answer)
    with caplog.at_level(logging.DEBUG), pytest.raises(PROVIDER_ERRORS):
        exchange(ada)
    assert "hf_oauth_x" not in caplog.text and CLIENT_SECRET not in caplog.text


@pytest.mark.slow
def test_authlib_is_only_imported_where_people_sign_in_and_warns_of_nothing() -> None:
    program = "import sys, studio.app; assert 'authlib' not in sys.modules; import studio.auth.openid"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "authlib" not in done.stderr.lower()

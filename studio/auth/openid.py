"""The requests to an OpenID provider, with Authlib: OpenID Connect's code flow with PKCE (RFC 6749, RFC 7636).

Authlib makes the authorization URL with the code challenge, and exchanges the code for a token. Three things are other
than by default: an error status of the token endpoint is an error whatever the body says, a lifetime is a number
that ends, and a token that is about to expire is used all the same. Who it is comes from the provider's own userinfo
endpoint, which is asked directly, so no ID token needs to be verified.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.deprecate import AuthlibDeprecationWarning
from authlib.oidc.discovery import get_well_known_url

from studio.auth.identity import Provider
from studio.web.tls import tls_context

with warnings.catch_warnings():
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)  # that httpx will not do in its version 2
    from authlib.integrations.httpx_client import AsyncOAuth2Client

try:  # whichever of the two Authlib uses: each has exceptions of its own
    import httpx2
except ImportError:
    import httpx as httpx2  # type: ignore[no-redef]

TIMEOUT_SECONDS = 10.0
MAX_SESSION_SECONDS = 8 * 3600
# What is raised where a provider cannot be asked, or its answers are not as they must be.
PROVIDER_ERRORS = (
    httpx2.HTTPError,
    AuthlibBaseError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
)


def client_of(provider: Provider, redirect_uri: str) -> AsyncOAuth2Client:
    client = AsyncOAuth2Client(
        provider.client_id,
        provider.client_secret,
        scope=provider.scopes,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        leeway=0,
        timeout=TIMEOUT_SECONDS,
        verify=tls_context(trust_env=True),
    )
    client.register_compliance_hook("access_token_response", httpx2.Response.raise_for_status)
    return client


async def discover(client: AsyncOAuth2Client, provider: Provider) -> dict[str, Any]:
    """The provider's metadata (OpenID Connect Discovery). Raises one of PROVIDER_ERRORS."""
    answer = await client.request("GET", get_well_known_url(provider.url, external=True), withhold_token=True)
    return dict(answer.raise_for_status().json())


async def authorization_url(provider: Provider, redirect_uri: str, state: str, code_verifier: str) -> str:
    """Where the browser is to go to sign in. Raises one of PROVIDER_ERRORS."""
    async with client_of(provider, redirect_uri) as client:
        endpoint = (await discover(client, provider))["authorization_endpoint"]
        url, _ = client.create_authorization_url(endpoint, state=state, code_verifier=code_verifier)
    return str(url)


async def exchange_code(
    provider: Provider, redirect_uri: str, code: str, code_verifier: str
) -> tuple[str, float, dict[str, Any]]:
    """(access token, seconds it lasts, userinfo) for an authorization code. Raises one of PROVIDER_ERRORS."""
    async with client_of(provider, redirect_uri) as client:
        endpoints = await discover(client, provider)
        granted = await client.fetch_token(
            endpoints["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect_uri,
            code_verifier=code_verifier,
        )
        token = granted["access_token"]
        if not isinstance(token, str) or not token:
            raise ValueError("the provider gave no token")
        seconds = parse_lifetime(granted.get("expires_in", MAX_SESSION_SECONDS))
        answer = await client.request("GET", endpoints["userinfo_endpoint"])
        return token, seconds, dict(answer.raise_for_status().json())


def parse_lifetime(expires_in: object) -> float:
    """How long a session lasts: as long as its token, and never too long. Raises ValueError for no such number."""
    seconds = float(str(expires_in))
    if not 0 < seconds < math.inf:
        raise ValueError("a token's lifetime is a number of seconds")
    return min(seconds, MAX_SESSION_SECONDS)

"""The certificates of the authorities, read once: that takes 30 ms, and httpx does it anew for every client."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def tls_context(*, trust_env: bool) -> ssl.SSLContext:
    """httpx's own default. `trust_env`: of SSL_CERT_FILE and SSL_CERT_DIR, where they are set."""
    return httpx.create_ssl_context(trust_env=trust_env)

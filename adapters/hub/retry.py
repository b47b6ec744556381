"""Calls to the Hub are tried again where the reason of the failure passes by itself: it is busy, a connection broke."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)

WAITS = (1.0, 2.0, 4.0)  # seconds before the second, third and fourth attempt
MAX_WAIT = 60.0  # what a server may ask for with Retry-After and still be waited for
PASSING = (429, 500, 502, 503, 504)


def with_retries(call: Callable[[], T]) -> T:
    """The result of `call`, which must bear being repeated.

    huggingface_hub retries file transfers, but not when it creates a repository, commits, or asks for facts.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    for pause in WAITS:
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code not in PASSING:
                raise
            retry_after = error.response.headers.get("Retry-After", "")
            if retry_after.isdigit():
                pause = float(retry_after)
            if pause > MAX_WAIT:
                raise
            reason = f"status {error.response.status_code}"
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, httpx2.TimeoutException) as error:
            reason = type(error).__name__
        logger.warning("The Hub failed (%s); trying again in %.0f s.", reason, pause)
        time.sleep(pause)
    return call()

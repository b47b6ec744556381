"""Secrets do not get into logs and messages: what looks like one, or is one of ours, is masked on the way out."""

from __future__ import annotations

import logging
import os
import re

MASK = "•••"
# Hub tokens, this studio's API keys, bearer headers, and tokens in an address.
SHAPES = re.compile(r"\b(?:hf|api_org|gs)_[\w-]{8,}|(?<=Bearer )[^\s\"',]+|(?<=[?&]token=)[^\s&\"'#]+", re.ASCII)
NAMES = ("HF_TOKEN", "STUDIO_ACCESS_TOKEN", "STUDIO_USER_TOKEN", "STUDIO_ENGINE_KEY", "OAUTH_CLIENT_SECRET")
SHORTEST = 6  # masking every occurrence of a shorter word would make texts unreadable, and hide little
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline: a terminal may obey them


def masked(text: str, *secrets: str | None) -> str:
    """`text` without what looks like a secret, without the values of secrets in the environment, and `secrets`."""
    for secret in (*secrets, *(os.environ.get(name) for name in NAMES)):
        if secret and len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return SHAPES.sub(MASK, text)


class MaskingFormatter(logging.Formatter):
    """Masks whole formatted records, so tracebacks too.

    What a stranger sent may stand in them: further lines are marked, so that none looks like a record of its own.
    """

    def __init__(self, inner: logging.Formatter, *secrets: str | None) -> None:
        super().__init__()
        self.inner = inner
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = masked(self.inner.format(record), *self.secrets)
        return CONTROL.sub("�", text).replace("\n", "\n  | ")


def mask_logs(*secrets: str | None) -> None:
    """Mask everything that the root logger's handlers, and those of uvicorn, write."""
    for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(MaskingFormatter(handler.formatter or logging.Formatter(), *secrets))

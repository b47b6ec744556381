"""Secrets in texts and logs: masked."""

from __future__ import annotations

import logging

import pytest

from core.common.redaction import MASK, MaskingFormatter, masked


@pytest.mark.parametrize(
    "text",
    [
        "GET /?token=abcdef123456&x=1",
        "Authorization: Bearer abcdef123456",
        "the token hf_abcdef123456 was refused",
        "key gs_abcdef123456-_x",
        "own secret my-own-abcdef123456 here",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    shown = masked(text, "my-own-abcdef123456")
    assert "abcdef123456" not in shown
    assert MASK in shown


def test_logs_are_masked_tracebacks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-shape")
    formatter = MaskingFormatter(logging.Formatter("%(message)s"), "owner-token")
    try:
        raise ValueError("refused: a-token-of-another-shape")
    except ValueError as error:
        record = logging.LogRecord(
            "x", 40, "", 0, "with %s", ("owner-token",), (type(error), error, error.__traceback__)
        )
    text = formatter.format(record)
    assert "Traceback" in text
    assert "another-shape" not in text
    assert "owner-token" not in text

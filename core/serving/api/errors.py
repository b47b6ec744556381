"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

FAILED_HERE = "The engine failed to answer this; its log says why."


class ApiError(Exception):
    """An answer that is an error, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_after = status, message, param, code, retry_after

    @property
    def body(self) -> dict[str, Any]:
        kind = {403: "permission_error", 429: "rate_limit_error"}.get(self.status, "invalid_request_error")
        return {
            "error": {
                "message": self.message,
                "type": kind if self.status < 500 else "server_error",
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

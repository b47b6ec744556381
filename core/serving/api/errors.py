"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from annotated_types import Ge, Le
from pydantic import BaseModel, ValidationError

from adapters.common.errors import shortened

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


# pydantic's error types -> what the field must be.
_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number or a whole number",
    "model_type": "an object",
}
_OUT_OF_RANGE = ("greater_than_equal", "less_than_equal")


def explain_validation_error(error: ValidationError, model: type[BaseModel]) -> ApiError:
    """The first of pydantic's errors as a sentence for people, with the field's range where it has one."""
    first = error.errors(include_url=False)[0]
    name, value = str(first["loc"][-1]), first["input"]
    if first["type"] == "extra_forbidden":
        name = name if len(name) <= 80 else f"{name[:79]}…"
        return ApiError(400, f"Unrecognized request argument: {name}.", param=name, code="unknown_parameter")
    if first["type"] == "missing":
        return ApiError(400, f"{name} must name the base or an adapter.", param=name)
    # An integer that no float can hold is a number out of range, too.
    is_huge = first["type"] == "float_type" and isinstance(value, int) and not isinstance(value, bool)
    if first["type"] in _OUT_OF_RANGE or is_huge:
        bounds = model.model_fields[name].metadata
        low = next(bound.ge for bound in bounds if isinstance(bound, Ge))
        high = next(bound.le for bound in bounds if isinstance(bound, Le))
        return ApiError(400, f"{name} must be between {low:g} and {high:g}, not {shortened(value)}.", param=name)
    expected = _EXPECTED.get(first["type"], "of another type")
    return ApiError(400, f"{name} must be {expected}, not {shortened(value)}.", param=name)

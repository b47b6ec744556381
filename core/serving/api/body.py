"""A request's JSON: bounded before it is parsed, and its fields taken one by one."""

from __future__ import annotations

import json
import re
from typing import Any

from adapters.common.errors import shortened
from core.serving.api.errors import ApiError

MAX_BYTES = 16 << 20
# Parsing holds every thread of the process: 3 ms for as many lists and objects, 50 ms for as many numbers.
MAX_NESTED = 20_000
MAX_VALUES = 500_000
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(raw: bytes) -> dict[str, Any]:
    """The JSON object in a request's body. Raises ApiError for anything else, and for what is too large to look at."""
    check_size(len(raw))
    try:
        text = raw.decode()
        _check_values(text)
        body = json.loads(text, parse_constant=_no_number)
        if _SURROGATE.search(text):
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ApiError(400, f"The request holds half of a surrogate pair ({half!a}), which is no character.") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The request body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    return body


def check_size(length: int) -> None:
    """Raise ApiError 413 for a body of that many bytes, or more, where it is too large."""
    if length > MAX_BYTES:
        raise ApiError(413, f"The request body is larger than {MAX_BYTES >> 20} MiB.")


def _check_values(text: str) -> None:
    def counts(text: str) -> tuple[int, int]:
        return text.count("[") + text.count("{"), text.count(",")

    def few(nested: int, values: int) -> bool:
        return nested <= MAX_NESTED and values <= MAX_VALUES

    if few(*counts(text)):
        return
    nested, values = counts(_STRING.sub("", text))
    if not few(nested, values):
        raise ApiError(
            400,
            f"The request holds {nested} lists and objects and {values} values; "
            f"at most {MAX_NESTED} and {MAX_VALUES} are read.",
        )


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number there")


class Fields:
    """The fields of a request body, taken one by one; what nobody takes is unknown."""

    def __init__(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise ApiError(400, "The request body must be a JSON object.")
        # null means "not given", as in OpenAI's API
        self._left: dict[str, Any] = {key: value for key, value in body.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        if name not in self._left:
            return default
        value = self._left.pop(name)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = {str: "a string", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
            expected = " or ".join(dict.fromkeys(names.get(each, "an object") for each in kinds))
            raise ApiError(400, f"{name} must be {expected}, not {shortened(value)}.", param=name)
        return value

    def ignore(self, name: str) -> Any:
        """A field of any type that changes nothing in the answer; None when it is not there."""
        return self._left.pop(name, None)

    def number(self, name: str, low: float, high: float, default: float, *, whole: bool = False) -> Any:
        """A number within low..high, bounds included."""
        value = self.take(name, int if whole else (float, int), default)
        if not low <= value <= high:
            raise ApiError(400, f"{name} must be between {low:g} and {high:g}, not {shortened(value)}.", param=name)
        return value if whole else float(value)

    def refuse(self, name: str, reason: str, *allowed: Any) -> None:
        """Raise unless the field is absent or has one of the `allowed` values."""
        if name in self._left and self._left.pop(name) not in allowed:
            raise ApiError(400, f"{name} is not supported: {reason}", param=name, code="unsupported_parameter")

    def none_left(self) -> None:
        if self._left:
            name = next(iter(self._left))
            named = name if len(name) <= 80 else f"{name[:79]}…"
            raise ApiError(400, f"Unrecognized request argument: {named}.", param=named, code="unknown_parameter")

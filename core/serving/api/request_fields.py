"""Fields of a request that are more than a number, checked and brought into one form. All raise ApiError."""

from __future__ import annotations

import math
from typing import Any

from adapters.common.errors import shortened
from core.serving.api.errors import ApiError

MAX_CHOICES = 16
MAX_STOPS = 16
MAX_STOP_LENGTH = 1024  # characters
MAX_STOP_IDS = 256
MAX_BIAS = 1024
# What a request may tell a chat template: keys that templates in use read, and nothing that the tokenizer's own call
# knows (its template, its tools, its lengths).
TEMPLATE_KEYS = (
    "date_string",
    "enable_thinking",
    "keep_thinking",
    "low_effort",
    "medium_effort",
    "preserve_thinking",
    "reasoning_effort",
    "reasoning_strength",
    "thinking",
    "truncate_history_thinking",
)
MAX_TEMPLATE_VALUE = 64  # characters


def check_stops(stop: Any) -> tuple[str, ...]:
    if not isinstance(stop, str | list):
        raise ApiError(400, f"stop must be a string or a list, not {shortened(stop)}.", param="stop")
    stops = [stop] if isinstance(stop, str) else stop
    if not all(isinstance(text, str) and text for text in stops):
        raise ApiError(400, "stop must be a string or a list of strings, none of them empty.", param="stop")
    if len(stops) > MAX_STOPS:
        raise ApiError(400, f"At most {MAX_STOPS} stop strings, not {len(stops)}.", param="stop")
    if (longest := max(map(len, stops), default=0)) > MAX_STOP_LENGTH:
        raise ApiError(400, f"A stop string has at most {MAX_STOP_LENGTH} characters, not {longest}.", param="stop")
    return tuple(stops)


def _check_token_ids(name: str, values: list[Any]) -> list[int]:
    """Token ids, which the base may still not have (see Prompts)."""
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ApiError(400, f"{name} must hold token ids, which are 0 or more, not {shortened(value)}.", param=name)
    return values


def check_stop_token_ids(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise ApiError(400, f"stop_token_ids must be a list, not {shortened(values)}.", param="stop_token_ids")
    if len(values) > MAX_STOP_IDS:
        raise ApiError(
            400, f"stop_token_ids may hold {MAX_STOP_IDS} token ids, not {len(values)}.", param="stop_token_ids"
        )
    return tuple(_check_token_ids("stop_token_ids", values))


def check_logit_bias(bias: Any) -> tuple[tuple[int, float], ...]:
    if not isinstance(bias, dict):
        raise ApiError(400, f"logit_bias must be an object, not {shortened(bias)}.", param="logit_bias")
    if len(bias) > MAX_BIAS:
        raise ApiError(400, f"logit_bias may hold {MAX_BIAS} tokens, not {len(bias)}.", param="logit_bias")
    for token, value in bias.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (token.isascii() and token.isdecimal() and len(token) <= 10 and is_number and -100 <= value <= 100):
            raise ApiError(
                400,
                "logit_bias takes token ids of the base with values from -100 to 100, not "
                f"{shortened(token)}: {shortened(value)}.",
                param="logit_bias",
            )
    return tuple((int(token), float(value)) for token, value in bias.items())


def check_prompt(prompt: Any) -> list[str | list[int]]:
    """OpenAI's four forms: a string, strings, token ids, lists of token ids."""
    if not isinstance(prompt, str | list):
        raise ApiError(400, f"prompt must be a string or a list, not {shortened(prompt)}.", param="prompt")
    if isinstance(prompt, str):
        return [prompt]
    if prompt and all(isinstance(item, int) and not isinstance(item, bool) for item in prompt):
        return [_check_token_ids("prompt", prompt)]
    if not prompt or not all(isinstance(item, str | list) for item in prompt):
        raise ApiError(400, "prompt must be a string, token ids, or a list of either.", param="prompt")
    if len(prompt) > MAX_CHOICES:
        raise ApiError(400, f"At most {MAX_CHOICES} prompts per request, not {len(prompt)}.", param="prompt")
    return [item if isinstance(item, str) else _check_token_ids("prompt", item) for item in prompt]


def check_template_kwargs(kwargs: Any) -> dict[str, Any]:
    param = "chat_template_kwargs"
    if not isinstance(kwargs, dict):
        raise ApiError(400, f"{param} must be an object, not {shortened(kwargs)}.", param=param)
    for key, value in kwargs.items():
        if key not in TEMPLATE_KEYS:
            raise ApiError(400, f"{param} may hold {', '.join(TEMPLATE_KEYS)}, not {shortened(key)}.", param=param)
        if not _is_template_value(value):
            raise ApiError(
                400,
                f"{param}.{key} must be true or false, a number or a string of at most {MAX_TEMPLATE_VALUE} "
                f"characters, not {shortened(value)}.",
                param=param,
            )
    return kwargs


def _is_template_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEMPLATE_VALUE
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))

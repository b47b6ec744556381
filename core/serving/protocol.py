"""OpenAI's requests, checked field by field, and its error bodies. Nothing that is asked for is silently ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.serving.params import SamplingParams

MAX_CHOICES = 16
MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
# Fields that say something about the request and nothing about the answer.
_NOTES = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls")
_SEED_LIMIT = 2**63
_ROLES = ("system", "user", "assistant")


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
        kind = {400: "invalid_request_error", 404: "invalid_request_error", 429: "rate_limit_error"}
        return {
            "error": {
                "message": self.message,
                "type": kind.get(self.status, "server_error"),
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


@dataclass(frozen=True)
class Ask:
    """A checked request for completions. Exactly one of `messages` (chat) and `prompts` is set."""

    model: str
    messages: list[dict[str, str]] | None
    prompts: list[str | list[int]] | None
    template_arguments: dict[str, Any]
    params: SamplingParams
    max_tokens: int | None
    """As asked for; None leaves it to the engine, and `params.max_tokens` then says nothing."""
    n: int
    stream: bool
    include_usage: bool
    user: str | None


class Fields:
    """The fields of a request body, taken one by one; what nobody takes is unknown."""

    def __init__(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise ApiError(400, "The request body must be a JSON object.")
        # null means "not given", as in OpenAI's API
        self._left: dict[str, Any] = {key: value for key, value in body.items() if value is not None}

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        if name not in self._left:
            return default
        value = self._left.pop(name)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = {str: "a string", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
            expected = " or ".join(dict.fromkeys(names.get(each, "an object") for each in kinds))
            raise ApiError(400, f"{name} must be {expected}, not {value!r}.", param=name)
        return value

    def number(self, name: str, low: float, high: float, default: float, *, whole: bool = False) -> Any:
        """A number within low..high, bounds included."""
        value = self.take(name, int if whole else (float, int), default)
        if not low <= value <= high:  # also false for NaN
            raise ApiError(400, f"{name} must be between {low:g} and {high:g}, not {value!r}.", param=name)
        return value if whole else float(value)

    def refuse(self, name: str, reason: str, *allowed: Any) -> None:
        """Raise unless the field is absent or has one of the `allowed` values."""
        if name in self._left and self._left.pop(name) not in allowed:
            raise ApiError(400, f"{name} is not supported: {reason}", param=name, code="unsupported_parameter")

    def none_left(self) -> None:
        if self._left:
            name = next(iter(self._left))
            raise ApiError(400, f"Unrecognized request argument: {name}.", param=name, code="unknown_parameter")


def parse_chat(body: Any, defaults: Mapping[str, float]) -> Ask:
    """A POST body of /v1/chat/completions. `defaults`: sampling settings that the base's own files recommend."""
    fields = Fields(body)
    messages = [_message(i, each) for i, each in enumerate(fields.take("messages", list, []))]
    if not messages:
        raise ApiError(400, "messages must hold at least one message.", param="messages")
    fields.refuse("tools", "this engine calls no tools.", [])
    fields.refuse("tool_choice", "this engine calls no tools.", "none", "auto")
    fields.refuse("functions", "this engine calls no functions.", [])
    fields.refuse("function_call", "this engine calls no functions.", "none", "auto")
    fields.refuse("modalities", "only text is generated.", ["text"])
    for name in ("audio", "prediction", "web_search_options", "reasoning_effort", "verbosity"):
        fields.refuse(name, "no model here knows it.")
    wanted = fields.take("logprobs", bool, False)
    top = fields.number("top_logprobs", 0, MAX_TOP_LOGPROBS, 0, whole=True)
    if top and not wanted:
        raise ApiError(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
    length = fields.take("max_completion_tokens", int), fields.take("max_tokens", int)
    return _ask(
        fields,
        defaults,
        messages=messages,
        template_arguments=_template_arguments(fields, messages),
        logprobs=top if wanted else None,
        max_tokens=length[0] if length[0] is not None else length[1],
    )


def _template_arguments(fields: Fields, messages: list[dict[str, str]]) -> dict[str, Any]:
    """What the chat template gets. As in vLLM, an answer is gone on with by add_generation_prompt false and
    continue_final_message true; its last message is then the answer so far."""
    begin = fields.take("add_generation_prompt", bool, True)
    go_on = fields.take("continue_final_message", bool, False)
    if go_on and (begin or messages[-1]["role"] != "assistant" or not messages[-1]["content"]):
        raise ApiError(
            400,
            "continue_final_message needs add_generation_prompt to be false and an assistant's message at the end.",
            param="continue_final_message",
        )
    arguments: dict[str, Any] = fields.take("chat_template_kwargs", dict, {})
    return arguments | {"add_generation_prompt": begin} | ({"continue_final_message": True} if go_on else {})


def parse_completion(body: Any, defaults: Mapping[str, float]) -> Ask:
    """A POST body of /v1/completions."""
    fields = Fields(body)
    prompts = _prompts(fields.take("prompt", (str, list), ""))
    fields.refuse("suffix", "text is only continued.")
    fields.refuse("echo", "the prompt is not sent back.", False)
    fields.refuse("best_of", "every completion is returned; use n.", 1)
    wanted = fields.take("logprobs", int)
    if wanted is not None and not 0 <= wanted <= MAX_TOP_LOGPROBS:
        raise ApiError(400, f"logprobs must be between 0 and {MAX_TOP_LOGPROBS}, not {wanted}.", param="logprobs")
    return _ask(fields, defaults, prompts=prompts, logprobs=wanted, max_tokens=fields.take("max_tokens", int, 16))


def _ask(
    fields: Fields,
    defaults: Mapping[str, float],
    *,
    logprobs: int | None,
    max_tokens: int | None,
    messages: list[dict[str, str]] | None = None,
    prompts: list[str | list[int]] | None = None,
    template_arguments: dict[str, Any] | None = None,
) -> Ask:
    model = fields.take("model", str)
    if model is None:
        raise ApiError(400, "model must name the base or an adapter.", param="model")
    _refuse_format(fields)
    if max_tokens is not None and max_tokens < 1:
        raise ApiError(400, f"max_tokens must be at least 1, not {max_tokens}.", param="max_tokens")
    stream = fields.take("stream", bool, False)
    options = Fields(fields.take("stream_options", dict, {}))
    include_usage = options.take("include_usage", bool, False)
    options.take("include_obfuscation", bool)
    options.none_left()
    n = fields.number("n", 1, MAX_CHOICES, 1, whole=True)
    seed = fields.number("seed", -_SEED_LIMIT, _SEED_LIMIT - 1, 0, whole=True) if "seed" in fields._left else None
    params = SamplingParams(
        temperature=fields.number("temperature", 0, 2, defaults.get("temperature", 1.0)),
        top_p=fields.number("top_p", 0, 1, defaults.get("top_p", 1.0)),
        top_k=max(0, fields.number("top_k", -1, 1e9, int(defaults.get("top_k", 0)), whole=True)),
        min_p=fields.number("min_p", 0, 1, defaults.get("min_p", 0.0)),
        repetition_penalty=fields.number("repetition_penalty", 0.01, 10, defaults.get("repetition_penalty", 1.0)),
        frequency_penalty=fields.number("frequency_penalty", -2, 2, 0.0),
        presence_penalty=fields.number("presence_penalty", -2, 2, 0.0),
        logit_bias=_bias(fields.take("logit_bias", dict, {})),
        seed=seed,
        stop=_stops(fields.take("stop", (str, list), [])),
        stop_token_ids=_ids("stop_token_ids", fields.take("stop_token_ids", list, [])),
        ignore_eos=fields.take("ignore_eos", bool, False),
        logprobs=logprobs,
    )
    notes = {name: fields._left.pop(name, None) for name in _NOTES}
    fields.none_left()
    user = notes["user"] if isinstance(notes["user"], str) else None
    return Ask(model, messages, prompts, template_arguments or {}, params, max_tokens, n, stream, include_usage, user)


def _message(index: int, message: Any) -> dict[str, str]:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise ApiError(400, f"{where} must be an object with role and content.", param=where)
    role = "system" if message.get("role") == "developer" else message.get("role")
    if role not in _ROLES:
        raise ApiError(400, f"{where}.role must be one of {', '.join(_ROLES)}, not {role!r}.", param=where)
    if message.get("tool_calls"):
        raise ApiError(400, f"{where}.tool_calls is not supported: this engine calls no tools.", param=where)
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise ApiError(400, f"{where}.content may only have parts of the type text.", param=where)
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise ApiError(400, f"{where}.content must be text, not {content!r}.", param=where)
    return {"role": role, "content": content}


def _prompts(prompt: str | list[Any]) -> list[str | list[int]]:
    """OpenAI's four forms: a string, strings, token ids, lists of token ids."""
    if isinstance(prompt, str):
        return [prompt]
    if prompt and all(isinstance(each, int) and not isinstance(each, bool) for each in prompt):
        return [list(prompt)]
    if not prompt or not all(isinstance(each, str | list) for each in prompt):
        raise ApiError(400, "prompt must be a string, token ids, or a list of either.", param="prompt")
    if len(prompt) > MAX_CHOICES:
        raise ApiError(400, f"At most {MAX_CHOICES} prompts per request, not {len(prompt)}.", param="prompt")
    return [each if isinstance(each, str) else list(_ids("prompt", each)) for each in prompt]


def _stops(stop: str | list[Any]) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop
    if not all(isinstance(each, str) and each for each in stops):
        raise ApiError(400, "stop must be a string or a list of strings, none of them empty.", param="stop")
    if len(stops) > MAX_STOPS:
        raise ApiError(400, f"At most {MAX_STOPS} stop strings, not {len(stops)}.", param="stop")
    return tuple(stops)


def _ids(name: str, values: list[Any]) -> tuple[int, ...]:
    if not all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in values):
        raise ApiError(400, f"{name} must hold token ids.", param=name)
    return tuple(values)


def _bias(bias: dict[str, Any]) -> tuple[tuple[int, float], ...]:
    try:
        pairs = tuple((int(token), float(value)) for token, value in bias.items())
    except (TypeError, ValueError) as error:
        raise ApiError(400, "logit_bias must map token ids to numbers.", param="logit_bias") from error
    if not all(token >= 0 and -100 <= value <= 100 for token, value in pairs):
        raise ApiError(400, "logit_bias takes token ids of the base and values from -100 to 100.", param="logit_bias")
    return pairs


def _refuse_format(fields: Fields) -> None:
    fields.refuse(
        "response_format",
        "answers are free text here. Ask for the form in the prompt, or teach an adapter to answer in it.",
        {"type": "text"},
    )

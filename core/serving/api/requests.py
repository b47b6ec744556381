"""OpenAI's requests, checked field by field. Nothing that is asked for is silently ignored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.common.errors import shortened
from core.serving.api.body import Fields
from core.serving.api.errors import ApiError
from core.serving.engine.sampling_params import GREEDY_BELOW, SamplingParams

MAX_MESSAGES = 2048
MAX_TOKENS = 1_000_000_000
MAX_CHOICES = 16
MAX_STOPS = 16
MAX_STOP_LENGTH = 1024  # characters
MAX_STOP_IDS = 256
MAX_BIAS = 1024
MAX_TOP_LOGPROBS = 20
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
# Fields that say something about the request and nothing about the answer.
_NOTES = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls")
_SEED_LIMIT = 2**63
_ROLES = ("system", "user", "assistant")


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


def parse_chat(body: Any, defaults: Mapping[str, float]) -> Ask:
    """A POST body of /v1/chat/completions. `defaults`: sampling settings that the base's own files recommend."""
    fields = Fields(body)
    given = fields.take("messages", list, [])
    if not 1 <= len(given) <= MAX_MESSAGES:
        what = f"at most {MAX_MESSAGES} messages, not {len(given)}" if given else "at least one message"
        raise ApiError(400, f"messages must hold {what}.", param="messages")
    messages = [_message(i, each) for i, each in enumerate(given)]
    fields.refuse("tools", "this engine calls no tools.", [])
    fields.refuse("tool_choice", "this engine calls no tools.", "none", "auto")
    fields.refuse("functions", "this engine calls no functions.", [])
    fields.refuse("function_call", "this engine calls no functions.", "none", "auto")
    fields.refuse("modalities", "only text is generated.", ["text"])
    for name in ("audio", "prediction", "web_search_options", "verbosity"):
        fields.refuse(name, "no model here knows it.")
    fields.refuse("reasoning_effort", "set it in chat_template_kwargs, for a base whose template reads it.")
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
    arguments = {"add_generation_prompt": begin} | ({"continue_final_message": True} if go_on else {})
    for key, value in fields.take("chat_template_kwargs", dict, {}).items():
        if key not in TEMPLATE_KEYS:
            known = ", ".join(TEMPLATE_KEYS)
            raise ApiError(
                400, f"chat_template_kwargs may hold {known}, not {shortened(key)}.", param="chat_template_kwargs"
            )
        if not _is_plain(value):
            raise ApiError(
                400,
                f"chat_template_kwargs.{key} must be true or false, a number or a string of at most "
                f"{MAX_TEMPLATE_VALUE} characters, not {shortened(value)}.",
                param="chat_template_kwargs",
            )
        arguments[key] = value
    return arguments


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEMPLATE_VALUE
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def parse_completion(body: Any, defaults: Mapping[str, float]) -> Ask:
    """A POST body of /v1/completions."""
    fields = Fields(body)
    prompts = _prompts(fields.take("prompt", (str, list), ""))
    fields.refuse("suffix", "text is only continued.")
    fields.refuse("echo", "the prompt is not sent back.", False)
    fields.refuse("best_of", "every completion is returned; use n.", 1)
    wanted = fields.take("logprobs", int)
    if wanted is not None and not 0 <= wanted <= MAX_TOP_LOGPROBS:
        raise ApiError(
            400, f"logprobs must be between 0 and {MAX_TOP_LOGPROBS}, not {shortened(wanted)}.", param="logprobs"
        )
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
    if max_tokens is not None and not 1 <= max_tokens <= MAX_TOKENS:
        raise ApiError(
            400, f"max_tokens must be between 1 and {MAX_TOKENS}, not {shortened(max_tokens)}.", param="max_tokens"
        )
    stream = fields.take("stream", bool, False)
    options = Fields(fields.take("stream_options", dict, {}))
    include_usage = options.take("include_usage", bool, False)
    options.take("include_obfuscation", bool)
    options.none_left()
    n = fields.number("n", 1, MAX_CHOICES, 1, whole=True)
    seed = fields.number("seed", -_SEED_LIMIT, _SEED_LIMIT - 1, 0, whole=True) if "seed" in fields else None
    temperature = fields.number("temperature", 0, 2, defaults.get("temperature", 1.0))
    params = SamplingParams(
        temperature=temperature if temperature >= GREEDY_BELOW else 0.0,
        top_p=fields.number("top_p", 0, 1, defaults.get("top_p", 1.0)),
        top_k=max(0, fields.number("top_k", -1, 1e9, int(defaults.get("top_k", 0)), whole=True)),
        min_p=fields.number("min_p", 0, 1, defaults.get("min_p", 0.0)),
        repetition_penalty=fields.number("repetition_penalty", 0.01, 10, defaults.get("repetition_penalty", 1.0)),
        frequency_penalty=fields.number("frequency_penalty", -2, 2, 0.0),
        presence_penalty=fields.number("presence_penalty", -2, 2, 0.0),
        logit_bias=_bias(fields.take("logit_bias", dict, {})),
        seed=seed,
        stop=_stops(fields.take("stop", (str, list), [])),
        stop_token_ids=_ids("stop_token_ids", fields.take("stop_token_ids", list, []), MAX_STOP_IDS),
        ignore_eos=fields.take("ignore_eos", bool, False),
        logprobs=logprobs,
    )
    notes = {name: fields.ignore(name) for name in _NOTES}
    fields.none_left()
    user = notes["user"] if isinstance(notes["user"], str) else None
    return Ask(model, messages, prompts, template_arguments or {}, params, max_tokens, n, stream, include_usage, user)


def _message(index: int, message: Any) -> dict[str, str]:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise ApiError(400, f"{where} must be an object with role and content.", param=where)
    role = "system" if message.get("role") == "developer" else message.get("role")
    if role not in _ROLES:
        raise ApiError(400, f"{where}.role must be one of {', '.join(_ROLES)}, not {shortened(role)}.", param=where)
    content = message.get("content")
    if isinstance(content, list):
        if not all(_is_text(part) for part in content):
            raise ApiError(400, f"{where}.content may only have parts of the type text.", param=where)
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise ApiError(400, f"{where}.content must be text, not {shortened(content)}.", param=where)
    return {"role": role, "content": content} | _beside(where, role, message)


def _beside(where: str, role: str, message: dict[str, Any]) -> dict[str, str]:
    """What a message tells the template beside its text. Clients send answers back with keys that hold nothing."""
    said: dict[str, str] = {}
    for key, value in message.items():
        if key in ("role", "content") or value is None or value == []:
            continue
        param = f"{where}.{shortened(key).strip(chr(39))}"
        if key != "name" and (key, role) != ("reasoning_content", "assistant"):
            why = ": this engine calls no tools" if key in ("tool_calls", "function_call") else ""
            raise ApiError(400, f"{param} is not supported{why}.", param=param)
        if not isinstance(value, str):
            raise ApiError(400, f"{param} must be text, not {shortened(value)}.", param=param)
        said[key] = value
    return said


def _is_text(part: Any) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("text"), str):
        return False
    return part.get("type", "text") in ("text", "input_text", "output_text")


def _prompts(prompt: str | list[Any]) -> list[str | list[int]]:
    """OpenAI's four forms: a string, strings, token ids, lists of token ids."""
    if isinstance(prompt, str):
        return [prompt]
    if prompt and all(isinstance(each, int) and not isinstance(each, bool) for each in prompt):
        return [list(_ids("prompt", prompt))]
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
    if (longest := max(map(len, stops), default=0)) > MAX_STOP_LENGTH:
        raise ApiError(400, f"A stop string has at most {MAX_STOP_LENGTH} characters, not {longest}.", param="stop")
    return tuple(stops)


def _ids(name: str, values: list[Any], most: int | None = None) -> tuple[int, ...]:
    """Token ids, which the base may still not have (see Prompts)."""
    if most is not None and len(values) > most:
        raise ApiError(400, f"{name} may hold {most} token ids, not {len(values)}.", param=name)
    for each in values:
        if not isinstance(each, int) or isinstance(each, bool) or each < 0:
            raise ApiError(400, f"{name} must hold token ids, which are 0 or more, not {shortened(each)}.", param=name)
    return tuple(values)


def _bias(bias: dict[str, Any]) -> tuple[tuple[int, float], ...]:
    if len(bias) > MAX_BIAS:
        raise ApiError(400, f"logit_bias may hold {MAX_BIAS} tokens, not {len(bias)}.", param="logit_bias")
    for token, value in bias.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (token.isascii() and token.isdecimal() and len(token) <= 10 and number and -100 <= value <= 100):
            raise ApiError(
                400,
                "logit_bias takes token ids of the base with values from -100 to 100, not "
                f"{shortened(token)}: {shortened(value)}.",
                param="logit_bias",
            )
    return tuple((int(token), float(value)) for token, value in bias.items())


def _refuse_format(fields: Fields) -> None:
    fields.refuse(
        "response_format",
        "answers are free text here. Ask for the form in the prompt, or teach an adapter to answer in it.",
        {"type": "text"},
    )

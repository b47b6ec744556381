"""OpenAI's requests for completions. Nothing that a client asks for is silently ignored.

Fields have OpenAI's names, or vLLM's where OpenAI has none. Types, ranges and unknown fields are pydantic's to check,
and core.serving.api.errors says them in a sentence; a check that pydantic cannot express raises ApiError itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from adapters.common.errors import shortened
from core.serving.api.errors import ApiError, explain_validation_error
from core.serving.api.messages import check_messages
from core.serving.api.request_fields import (
    MAX_CHOICES,
    check_logit_bias,
    check_prompt,
    check_stop_token_ids,
    check_stops,
    check_template_kwargs,
)
from core.serving.engine.sampling_params import GREEDY_BELOW, SamplingParams

MAX_TOKENS = 1_000_000_000
MAX_TOP_LOGPROBS = 20
_NO_TOOLS, _NO_FUNCTIONS = "this engine calls no tools.", "this engine calls no functions."
_UNKNOWN = "no model here knows it."
# Field -> (why it is not supported, the values that change nothing and are accepted).
_UNSUPPORTED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "response_format": (
        "answers are free text here. Ask for the form in the prompt, or teach an adapter to answer in it.",
        ({"type": "text"},),
    ),
}
_UNSUPPORTED_IN_CHAT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "tools": (_NO_TOOLS, ([],)),
    "tool_choice": (_NO_TOOLS, ("none", "auto")),
    "functions": (_NO_FUNCTIONS, ([],)),
    "function_call": (_NO_FUNCTIONS, ("none", "auto")),
    "modalities": ("only text is generated.", (["text"],)),
    "audio": (_UNKNOWN, ()),
    "prediction": (_UNKNOWN, ()),
    "web_search_options": (_UNKNOWN, ()),
    "verbosity": (_UNKNOWN, ()),
    "reasoning_effort": ("set it in chat_template_kwargs, for a base whose template reads it.", ()),
}
_UNSUPPORTED_IN_COMPLETIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "suffix": ("text is only continued.", ()),
    "echo": ("the prompt is not sent back.", (False,)),
    "best_of": ("every completion is returned; use n.", (1,)),
}


def _check_supported(body: dict[str, Any], unsupported: Mapping[str, tuple[str, tuple[Any, ...]]]) -> dict[str, Any]:
    """The body without fields that change nothing. Raises ApiError for those that the engine cannot do."""
    for name, (reason, allowed) in unsupported.items():
        if (value := body.get(name)) is not None and value not in allowed:
            raise ApiError(400, f"{name} is not supported: {reason}", param=name, code="unsupported_parameter")
    return {name: value for name, value in body.items() if name not in unsupported}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, body: Any) -> Any:
        """null means "not given", as in OpenAI's API."""
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class _SharedFields(_Strict):
    """What both endpoints take."""

    model: str
    n: int = Field(1, ge=1, le=MAX_CHOICES)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1_000_000_000)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    logit_bias: Annotated[tuple[tuple[int, float], ...], PlainValidator(check_logit_bias)] = ()
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    stop: Annotated[tuple[str, ...], PlainValidator(check_stops)] = ()
    stop_token_ids: Annotated[tuple[int, ...], PlainValidator(check_stop_token_ids)] = ()
    ignore_eos: bool = False

    # These say something about the request and nothing about the answer.
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    parallel_tool_calls: Any = None

    @property
    def length_limit(self) -> int | None:
        """The most tokens of an answer; None leaves it to the engine."""
        return self.max_tokens

    @property
    def logprobs_count(self) -> int | None:
        """See SamplingParams.logprobs."""
        return None

    @model_validator(mode="after")
    def _check_length_limit(self) -> _SharedFields:
        limit = self.length_limit
        if limit is not None and not 1 <= limit <= MAX_TOKENS:
            raise ApiError(
                400, f"max_tokens must be between 1 and {MAX_TOKENS}, not {shortened(limit)}.", param="max_tokens"
            )
        return self

    def sampling_params(self, defaults: Mapping[str, float], max_tokens: int) -> SamplingParams:
        """How the first choice is sampled. `defaults`: settings that the base's own files recommend."""

        def setting(name: str, default: float) -> float:
            value = getattr(self, name)
            return float(defaults.get(name, default) if value is None else value)

        temperature = setting("temperature", 1.0)
        return SamplingParams(
            max_tokens=max_tokens,
            temperature=temperature if temperature >= GREEDY_BELOW else 0.0,
            top_p=setting("top_p", 1.0),
            top_k=max(0, int(setting("top_k", 0))),
            min_p=setting("min_p", 0.0),
            repetition_penalty=setting("repetition_penalty", 1.0),
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            logit_bias=self.logit_bias,
            seed=self.seed,
            stop=self.stop,
            stop_token_ids=self.stop_token_ids,
            ignore_eos=self.ignore_eos,
            logprobs=self.logprobs_count,
        )


class ChatCompletionRequest(_SharedFields):
    """A POST body of /v1/chat/completions."""

    messages: Annotated[list[dict[str, str]], PlainValidator(check_messages)] = Field([], validate_default=True)
    max_completion_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MAX_TOP_LOGPROBS)
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: Annotated[dict[str, Any], PlainValidator(check_template_kwargs)] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: Any) -> Any:
        return _check_supported(body, _UNSUPPORTED | _UNSUPPORTED_IN_CHAT) if isinstance(body, dict) else body

    @model_validator(mode="after")
    def _check_combinations(self) -> ChatCompletionRequest:
        if self.top_logprobs and not self.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
        last = self.messages[-1]
        is_open = not self.add_generation_prompt and last["role"] == "assistant" and last["content"]
        if self.continue_final_message and not is_open:
            raise ApiError(
                400,
                "continue_final_message needs add_generation_prompt to be false and an assistant's message at the end.",
                param="continue_final_message",
            )
        return self

    @property
    def length_limit(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def logprobs_count(self) -> int | None:
        return self.top_logprobs if self.logprobs else None

    @property
    def template_arguments(self) -> dict[str, Any]:
        """What the chat template gets. As in vLLM, an answer is continued by add_generation_prompt false and
        continue_final_message true; the last message is then the answer so far."""
        arguments: dict[str, Any] = {"add_generation_prompt": self.add_generation_prompt}
        if self.continue_final_message:
            arguments["continue_final_message"] = True
        return arguments | self.chat_template_kwargs


class CompletionRequest(_SharedFields):
    """A POST body of /v1/completions."""

    prompt: Annotated[list[str | list[int]], PlainValidator(check_prompt)] = [""]
    max_tokens: int | None = 16
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: Any) -> Any:
        return _check_supported(body, _UNSUPPORTED | _UNSUPPORTED_IN_COMPLETIONS) if isinstance(body, dict) else body

    @property
    def logprobs_count(self) -> int | None:
        return self.logprobs


GenerationRequest: TypeAlias = ChatCompletionRequest | CompletionRequest
Request = TypeVar("Request", bound=_SharedFields)


def parse_request(kind: type[Request], body: dict[str, Any]) -> Request:
    """The checked request in a JSON body. Raises ApiError 400 for the first thing that is wrong."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise explain_validation_error(error, kind) from error

"""OpenAI's responses and chunks. Fields that are not set are left out of the JSON (`to_json`)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Response(BaseModel):
    def to_json(self) -> str:
        return self.model_dump_json(exclude_unset=True)


class TokenLogprob(Response):
    token: str
    logprob: float | None
    bytes: list[int]


class ChosenTokenLogprob(TokenLogprob):
    top_logprobs: list[TokenLogprob]


class ChatLogprobs(Response):
    content: list[ChosenTokenLogprob]
    refusal: None


class CompletionLogprobs(Response):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class AssistantMessage(Response):
    role: Literal["assistant"]
    content: str
    refusal: None


class Delta(Response):
    """What a chunk adds to the message; empty in a last chunk without text."""

    role: Literal["assistant"] = "assistant"
    content: str = ""


class ChatChoice(Response):
    index: int
    finish_reason: str | None
    message: AssistantMessage
    logprobs: ChatLogprobs | None


class ChatChunkChoice(Response):
    index: int
    finish_reason: str | None
    delta: Delta
    logprobs: ChatLogprobs | None


class CompletionChoice(Response):
    """Of a whole completion or of a chunk: OpenAI gives both the same form."""

    index: int
    finish_reason: str | None
    text: str
    logprobs: CompletionLogprobs | None


class PromptTokensDetails(Response):
    cached_tokens: int
    """Of the prompts' tokens, those whose keys and values were in the cache already."""


class Usage(Response):
    prompt_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens: int
    total_tokens: int


class Timings(Response):
    """Not part of OpenAI's protocol."""

    queue_seconds: float | None
    time_to_first_token: float | None
    tokens_per_second: float | None
    """After the first token."""


class CompletionBody(Response):
    """What all bodies share. In a stream only the last chunk has usage; the others say null, if it is requested."""

    id: str
    object: Literal["chat.completion", "chat.completion.chunk", "text_completion"]
    created: int
    model: str
    """Who really answers: the base's id or the adapter's name."""
    choices: list[ChatChoice] | list[ChatChunkChoice] | list[CompletionChoice]
    usage: Usage | None = None
    timings: Timings | None = None

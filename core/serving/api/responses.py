"""Answers in OpenAI's form: whole ones and streamed ones, for chat and for plain completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.serving.api.requests import Ask
from core.serving.engine.sampling_params import SampledToken
from core.serving.engine.sequence import RequestOutput, Sequence


@dataclass
class ResponseBuilder:
    """One answer under way: what its sequences have said so far, and how to write it."""

    ask: Ask
    model: str
    """Who really answers: the base's id or the adapter's name."""
    sequences: list[Sequence]
    prompt_tokens: int
    token_text: Callable[[int], str]
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = f"{'chatcmpl' if self.chat else 'cmpl'}-{uuid.uuid4().hex}"

    @property
    def chat(self) -> bool:
        return self.ask.messages is not None

    def chunk(self, index: int, output: RequestOutput, *, offset: int) -> dict[str, Any]:
        """A streamed output of choice `index`; `offset` is how many characters of it were sent before."""
        choice: dict[str, Any] = {"index": index, "finish_reason": output.finish_reason}
        if self.chat:
            choice["delta"] = {"content": output.text} if output.text or not output.is_last else {}
        else:
            choice["text"] = output.text
        choice["logprobs"] = self._logprobs([output], offset)
        return self._envelope([choice], chunk=True)

    def opening(self, index: int) -> dict[str, Any]:
        """The first chunk of a chat choice, which says who speaks."""
        choice = {
            "index": index,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        return self._envelope([choice], chunk=True)

    def closing(self) -> dict[str, Any]:
        """The last chunk, with the usage, for who asked for it."""
        return self._envelope([], chunk=True) | {"usage": self.usage(), "timings": timings(self.sequences)}

    def whole(self, outputs: list[list[RequestOutput]]) -> dict[str, Any]:
        choices = []
        for index, said in enumerate(outputs):
            text = "".join(output.text for output in said)
            choice: dict[str, Any] = {"index": index, "finish_reason": said[-1].finish_reason}
            if self.chat:
                choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            else:
                choice["text"] = text
            choice["logprobs"] = self._logprobs(said, 0)
            choices.append(choice)
        return self._envelope(choices, chunk=False) | {"usage": self.usage(), "timings": timings(self.sequences)}

    def usage(self) -> dict[str, int]:
        written = sum(len(sequence.output_ids) for sequence in self.sequences)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self.prompt_tokens + written,
        }

    def _envelope(self, choices: list[dict[str, Any]], *, chunk: bool) -> dict[str, Any]:
        kind = ("chat.completion.chunk" if chunk else "chat.completion") if self.chat else "text_completion"
        body = {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}
        if chunk and self.ask.include_usage:
            body["usage"] = None
        return body

    def _logprobs(self, outputs: list[RequestOutput], offset: int) -> dict[str, Any] | None:
        if self.ask.params.logprobs is None:
            return None
        sampled = [output.sampled for output in outputs if output.sampled is not None]
        if self.chat:
            return {"content": [self._chat_logprob(each) for each in sampled], "refusal": None}
        offsets = []
        for output in outputs:
            offsets += [offset] if output.sampled is not None else []
            offset += len(output.text)
        return {
            "tokens": [self.token_text(each.token) for each in sampled],
            "token_logprobs": [each.logprob for each in sampled],
            "top_logprobs": [{self.token_text(token): value for token, value in each.top} for each in sampled],
            "text_offset": offsets,
        }

    def _chat_logprob(self, sampled: SampledToken) -> dict[str, Any]:
        return self._token(sampled.token, sampled.logprob) | {
            "top_logprobs": [self._token(*each) for each in sampled.top]
        }

    def _token(self, token: int, logprob: float | None) -> dict[str, Any]:
        text = self.token_text(token)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def timings(sequences: list[Sequence]) -> dict[str, float | None]:
    """Seconds in the queue and to the first token, and tokens per second after it; not part of OpenAI's protocol."""
    queued = [s.admitted_at - s.arrived_at for s in sequences if s.admitted_at is not None]
    to_first_token = [s.first_token_at - s.arrived_at for s in sequences if s.first_token_at is not None]
    first = min((s.first_token_at for s in sequences if s.first_token_at is not None), default=0.0)
    last = max((s.last_token_at for s in sequences if s.last_token_at is not None), default=0.0)
    later_tokens = sum(max(0, len(s.output_ids) - 1) for s in sequences)
    return {
        "queue_seconds": round(min(queued), 4) if queued else None,
        "time_to_first_token": round(min(to_first_token), 4) if to_first_token else None,
        "tokens_per_second": round(later_tokens / (last - first), 2) if last > first else None,
    }

"""Answers in OpenAI's form: whole ones and streamed ones, for chat and for plain completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.serving.api.requests import Ask
from core.serving.engine.sampling_params import Drawn
from core.serving.engine.sequence import Piece, Row


@dataclass
class Answer:
    """One answer under way: what its rows have said so far, and how to write it."""

    ask: Ask
    model: str
    """Who really answers: the base's id or the adapter's name."""
    rows: list[Row]
    prompt_tokens: int
    token_text: Callable[[int], str]
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = f"{'chatcmpl' if self.chat else 'cmpl'}-{uuid.uuid4().hex}"

    @property
    def chat(self) -> bool:
        return self.ask.messages is not None

    def chunk(self, index: int, piece: Piece, *, offset: int) -> dict[str, Any]:
        """A streamed piece of choice `index`; `offset` is how many characters of it were sent before."""
        choice: dict[str, Any] = {"index": index, "finish_reason": piece.finish_reason}
        if self.chat:
            choice["delta"] = {"content": piece.text} if piece.text or not piece.last else {}
        else:
            choice["text"] = piece.text
        choice["logprobs"] = self._logprobs([piece], offset)
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
        return self._envelope([], chunk=True) | {"usage": self.usage(), "timings": timings(self.rows)}

    def whole(self, pieces: list[list[Piece]]) -> dict[str, Any]:
        choices = []
        for index, said in enumerate(pieces):
            text = "".join(piece.text for piece in said)
            choice: dict[str, Any] = {"index": index, "finish_reason": said[-1].finish_reason}
            if self.chat:
                choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            else:
                choice["text"] = text
            choice["logprobs"] = self._logprobs(said, 0)
            choices.append(choice)
        return self._envelope(choices, chunk=False) | {"usage": self.usage(), "timings": timings(self.rows)}

    def usage(self) -> dict[str, int]:
        written = sum(len(row.output) for row in self.rows)
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

    def _logprobs(self, pieces: list[Piece], offset: int) -> dict[str, Any] | None:
        if self.ask.params.logprobs is None:
            return None
        drawn = [piece.drawn for piece in pieces if piece.drawn is not None]
        if self.chat:
            return {"content": [self._chat_logprob(each) for each in drawn], "refusal": None}
        offsets = []
        for piece in pieces:
            offsets += [offset] if piece.drawn is not None else []
            offset += len(piece.text)
        return {
            "tokens": [self.token_text(each.token) for each in drawn],
            "token_logprobs": [each.logprob for each in drawn],
            "top_logprobs": [{self.token_text(token): value for token, value in each.top} for each in drawn],
            "text_offset": offsets,
        }

    def _chat_logprob(self, drawn: Drawn) -> dict[str, Any]:
        return self._token(drawn.token, drawn.logprob) | {"top_logprobs": [self._token(*each) for each in drawn.top]}

    def _token(self, token: int, logprob: float | None) -> dict[str, Any]:
        text = self.token_text(token)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def timings(rows: list[Row]) -> dict[str, float | None]:
    """Seconds in the queue and to the first token, and tokens per second after it; not part of OpenAI's protocol."""
    first = [row.first_token - row.arrived for row in rows if row.first_token is not None]
    queued = [row.admitted - row.arrived for row in rows if row.admitted is not None]
    began = min((row.first_token for row in rows if row.first_token is not None), default=None)
    ended = max((row.last_token for row in rows if row.last_token is not None), default=None)
    later = sum(max(0, len(row.output) - 1) for row in rows)
    speed = later / (ended - began) if began is not None and ended is not None and ended > began else None
    return {
        "queue_seconds": round(min(queued), 4) if queued else None,
        "time_to_first_token": round(min(first), 4) if first else None,
        "tokens_per_second": round(speed, 2) if speed is not None else None,
    }

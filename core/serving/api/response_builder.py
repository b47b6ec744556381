"""From the outputs of a request's sequences to OpenAI's JSON: whole responses, and the chunks of a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from core.serving.api.requests import ChatCompletionRequest, GenerationRequest
from core.serving.api.responses import (
    AssistantMessage,
    ChatChoice,
    ChatChunkChoice,
    ChatLogprobs,
    ChosenTokenLogprob,
    CompletionBody,
    CompletionChoice,
    CompletionLogprobs,
    Delta,
    PromptTokensDetails,
    Timings,
    TokenLogprob,
    Usage,
)
from core.serving.engine.sampling_params import SampledToken
from core.serving.engine.sequence import RequestOutput, Sequence


@dataclass
class ResponseBuilder:
    """One response in progress: its sequences, one per choice, and how their outputs are written."""

    request: GenerationRequest
    model: str
    sequences: list[Sequence]
    prompt_tokens: int
    token_text: Callable[[int], str]
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = f"{'chatcmpl' if self.is_chat else 'cmpl'}-{uuid.uuid4().hex}"

    @property
    def is_chat(self) -> bool:
        return isinstance(self.request, ChatCompletionRequest)

    def first_chunk(self, index: int) -> str:
        """The first chunk of a chat choice, which names the role."""
        delta = Delta(role="assistant", content="")
        return self._chunk(ChatChunkChoice(index=index, delta=delta, logprobs=None, finish_reason=None))

    def chunk(self, index: int, output: RequestOutput, *, offset: int) -> str:
        """An output of choice `index`; `offset` is how many characters of the choice were sent before."""
        end = output.finish_reason
        if not self.is_chat:
            logprobs = self._completion_logprobs([output], offset)
            return self._chunk(CompletionChoice(index=index, finish_reason=end, text=output.text, logprobs=logprobs))
        delta = Delta(content=output.text) if output.text or not output.is_last else Delta()
        chat_logprobs = self._chat_logprobs([output])
        return self._chunk(ChatChunkChoice(index=index, finish_reason=end, delta=delta, logprobs=chat_logprobs))

    def usage_chunk(self) -> str:
        """The last chunk, for requests with include_usage."""
        body = self._body(is_chunk=True)
        return body.model_copy(update={"usage": self._usage(), "timings": timings(self.sequences)}).to_json()

    def whole(self, outputs: list[list[RequestOutput]]) -> str:
        """The response of a request that does not stream. `outputs`: per choice, all of them."""
        texts = ["".join(output.text for output in of_choice) for of_choice in outputs]
        ends = [of_choice[-1].finish_reason for of_choice in outputs]
        choices: list[ChatChoice] | list[CompletionChoice]
        if self.is_chat:
            choices = [
                ChatChoice(
                    index=index,
                    finish_reason=ends[index],
                    message=AssistantMessage(role="assistant", content=texts[index], refusal=None),
                    logprobs=self._chat_logprobs(of_choice),
                )
                for index, of_choice in enumerate(outputs)
            ]
        else:
            choices = [
                CompletionChoice(
                    index=index,
                    finish_reason=ends[index],
                    text=texts[index],
                    logprobs=self._completion_logprobs(of_choice, 0),
                )
                for index, of_choice in enumerate(outputs)
            ]
        update = {"choices": choices, "usage": self._usage(), "timings": timings(self.sequences)}
        return self._body(is_chunk=False).model_copy(update=update).to_json()

    def _chunk(self, choice: ChatChunkChoice | CompletionChoice) -> str:
        before, after = self._around_choice
        return f"{before}{choice.to_json()}{after}"

    @cached_property
    def _around_choice(self) -> tuple[str, str]:
        """The JSON of a chunk before and after its choice. It is the same in all chunks, and costs most to write."""
        body = self._body(is_chunk=True)
        if self.request.stream_options.include_usage:
            body = body.model_copy(update={"usage": None})
        before, after = body.to_json().rsplit("[]", 1)
        return f"{before}[", f"]{after}"

    def _body(self, *, is_chunk: bool) -> CompletionBody:
        """Without choices, usage and timings."""
        return CompletionBody(
            id=self.id,
            object=("chat.completion.chunk" if is_chunk else "chat.completion") if self.is_chat else "text_completion",
            created=self.created,
            model=self.model,
            choices=[],
        )

    def _usage(self) -> Usage:
        written = sum(len(sequence.output_ids) for sequence in self.sequences)
        return Usage(
            prompt_tokens=self.prompt_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=self._cached_tokens()),
            completion_tokens=written,
            total_tokens=self.prompt_tokens + written,
        )

    def _cached_tokens(self) -> int:
        """Each prompt counts once, as in `prompt_tokens`: what its choices have from each other was read for one."""
        by_prompt = zip(*[iter(self.sequences)] * self.request.n, strict=True)
        return sum(min(sequence.reused for sequence in choices) for choices in by_prompt)

    def _chat_logprobs(self, outputs: list[RequestOutput]) -> ChatLogprobs | None:
        if self.request.logprobs_count is None:
            return None
        tokens = [self._chosen_token(output.sampled) for output in outputs if output.sampled is not None]
        return ChatLogprobs(content=tokens, refusal=None)

    def _completion_logprobs(self, outputs: list[RequestOutput], offset: int) -> CompletionLogprobs | None:
        """`offset`: how many characters of the choice come before these outputs."""
        if self.request.logprobs_count is None:
            return None
        tokens: list[SampledToken] = []
        offsets: list[int] = []
        for output in outputs:
            if output.sampled is not None:
                tokens.append(output.sampled)
                offsets.append(offset)
            offset += len(output.text)
        return CompletionLogprobs(
            tokens=[self.token_text(sampled.token) for sampled in tokens],
            token_logprobs=[sampled.logprob for sampled in tokens],
            top_logprobs=[{self.token_text(token): value for token, value in sampled.top} for sampled in tokens],
            text_offset=offsets,
        )

    def _chosen_token(self, sampled: SampledToken) -> ChosenTokenLogprob:
        text = self.token_text(sampled.token)
        top = [self._token(token, logprob) for token, logprob in sampled.top]
        return ChosenTokenLogprob(token=text, logprob=sampled.logprob, bytes=list(text.encode()), top_logprobs=top)

    def _token(self, token: int, logprob: float) -> TokenLogprob:
        text = self.token_text(token)
        return TokenLogprob(token=text, logprob=logprob, bytes=list(text.encode()))


def timings(sequences: list[Sequence]) -> Timings:
    """Seconds in the queue and to the first token, and tokens per second after it."""
    queued = [s.admitted_at - s.arrived_at for s in sequences if s.admitted_at is not None]
    to_first_token = [s.first_token_at - s.arrived_at for s in sequences if s.first_token_at is not None]
    first = min((s.first_token_at for s in sequences if s.first_token_at is not None), default=0.0)
    last = max((s.last_token_at for s in sequences if s.last_token_at is not None), default=0.0)
    later_tokens = sum(max(0, len(s.output_ids) - 1) for s in sequences)
    return Timings(
        queue_seconds=round(min(queued), 4) if queued else None,
        time_to_first_token=round(min(to_first_token), 4) if to_first_token else None,
        tokens_per_second=round(later_tokens / (last - first), 2) if last > first else None,
    )

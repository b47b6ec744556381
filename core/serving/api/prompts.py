"""From a request to prompt tokens, by the base's own tokenizer and chat template."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from adapters.common.errors import shortened
from core.data.dataset import Message
from core.data.tokenize.chat_template import ChatTemplate, TemplateRefused
from core.serving.api.errors import ApiError
from core.serving.api.requests import ChatCompletionRequest, GenerationRequest
from core.serving.engine.stream import make_decoder

MAX_REASON = 300  # characters of what a template says


class Prompts:
    """Encodes prompts of at most `max_length` tokens. Any thread may call it, and none waits for another."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, max_length: int) -> None:
        self.tokenizer, self.vocabulary, self.max_length = tokenizer, vocabulary, max_length
        # A text with more characters than this has more tokens than fit, since none is longer. It could only fit where
        # a tokenizer drops most of it, such as runs of blanks.
        self.max_characters = max_length * max(map(len, tokenizer.get_vocab()))
        self.template = ChatTemplate.of(tokenizer)
        self._decode = make_decoder(tokenizer, special=True)
        self._encode = make_encoder(tokenizer)

    def encode(self, request: GenerationRequest) -> list[list[int]]:
        """Token ids of each prompt of a request.

        Raises ApiError when the template refuses the messages, the base lacks a requested token, or a prompt is far
        too long. The engine checks the exact length.
        """
        self._check_known("stop_token_ids", request.stop_token_ids)
        self._check_known("logit_bias", [token for token, _ in request.logit_bias])
        if isinstance(request, ChatCompletionRequest):
            return [self._encode_chat(request.messages, request.template_arguments)]
        return [self._encode_prompt(prompt) for prompt in request.prompt]

    def token_text(self, token: int) -> str:
        return self._decode([token])

    def _encode_chat(self, messages: list[dict[str, str]], arguments: dict[str, Any]) -> list[int]:
        self._check_characters(
            "messages", sum(len(text) for message in messages for key, text in message.items() if key != "role")
        )
        try:  # as training renders
            text = self.template.render(cast(list[Message], messages), prompt=True, **arguments)
        except TemplateRefused as error:
            raise ApiError(
                400,
                f"The base's chat template does not take these messages: {error.reason[:MAX_REASON]}",
                param="messages",
            ) from error
        self._check_characters("messages", len(text))
        tokens = self._encode(text, False)  # the template writes the special tokens itself
        self._check_known("messages", tokens)  # a tokenizer may have tokens that the base lacks
        return tokens

    def _encode_prompt(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            self._check_characters("prompt", len(prompt))
            prompt = self._encode(prompt, True)
        self._check_known("prompt", prompt)
        return prompt

    def _check_characters(self, param: str, characters: int) -> None:
        if characters > self.max_characters:
            raise ApiError(
                400,
                f"The {param} with {characters:,} characters cannot fit: this engine holds {self.max_length:,} tokens "
                f"per conversation, and no token is longer than {self.max_characters // self.max_length}. Shorten it.",
                param=param,
                code="context_length_exceeded",
            )

    def _check_known(self, param: str, tokens: Sequence[int]) -> None:
        highest = max(tokens, default=0)
        if highest >= self.vocabulary:
            raise ApiError(
                400, f"The base has no token {shortened(highest)}; its vocabulary has {self.vocabulary}.", param=param
            )


def make_encoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[str, bool], list[int]]:
    """Text to token ids, with or without the special tokens that the tokenizer puts around a text by itself.

    Several threads encode at once: the fast tokenizers' own batches let all other threads go on meanwhile (a single
    text does not), and of a slow one each thread has a copy.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()  # a tokenizer's files may ask for it
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        return lambda text, special: list(backend.encode_batch_fast([text], add_special_tokens=special)[0].ids)
    own = threading.local()

    def encode(text: str, special: bool) -> list[int]:
        if not hasattr(own, "tokenizer"):
            own.tokenizer = copy.deepcopy(tokenizer)
        return list(own.tokenizer.encode(text, add_special_tokens=special))

    return encode

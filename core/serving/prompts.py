"""From a request to prompt tokens, by the base's own tokenizer and chat template."""

from __future__ import annotations

import threading
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from core.data.template import fold_system
from core.serving.build import decoder
from core.serving.protocol import ApiError, Ask


class Prompts:
    """Encodes prompts; a lock makes it safe to use from several threads (the tokenizer itself is not)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> None:
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        self._decode = decoder(tokenizer, special=True)
        self._lock = threading.Lock()

    def encode(self, ask: Ask) -> list[list[int]]:
        """Token ids of each prompt of a request. Raises ApiError when the template does not take the messages."""
        highest = max([*ask.params.stop_token_ids, *(token for token, _ in ask.params.logit_bias)], default=0)
        self._known(highest)
        if ask.messages is not None:
            return [self._chat(ask.messages, ask.template_arguments)]
        return [self._plain(prompt) for prompt in ask.prompts or []]

    def token_text(self, token: int) -> str:
        return self._decode([token])

    def _chat(self, messages: list[dict[str, str]], arguments: dict[str, Any]) -> list[int]:
        with self._lock:
            try:
                text = self._rendered(messages, {"add_generation_prompt": True} | arguments)
            except (TemplateError, TypeError, ValueError) as error:
                raise ApiError(
                    400, f"The base's chat template does not take these messages: {error}", param="messages"
                ) from error
            # the template writes the special tokens itself
            return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _rendered(self, messages: list[dict[str, str]], arguments: dict[str, Any]) -> str:
        """As training renders: a system message that the template has no place for goes before the question."""
        foldable = [message["role"] for message in messages[:2]] == ["system", "user"]
        try:
            text = str(self.tokenizer.apply_chat_template(messages, tokenize=False, **arguments))
        except TemplateError:
            if not foldable:
                raise
        else:
            if not foldable or messages[0]["content"].strip() in text:
                return text
        return str(self.tokenizer.apply_chat_template(fold_system(messages), tokenize=False, **arguments))

    def _plain(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            with self._lock:
                return list(self.tokenizer.encode(prompt))
        self._known(max(prompt, default=0))
        return prompt

    def _known(self, token: int) -> None:
        if token >= self.vocabulary:
            raise ApiError(400, f"The base has no token {token}; its vocabulary has {self.vocabulary}.")

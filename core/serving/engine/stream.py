"""Tokens to text as they arrive: whole characters only, and never a part of a stop string."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeAlias

from transformers import PreTrainedTokenizerBase

Decode: TypeAlias = Callable[[Sequence[int]], str]
"""Token ids to text."""


def make_decoder(tokenizer: PreTrainedTokenizerBase, *, special: bool = False) -> Decode:
    """Token ids to text, with or without special tokens.

    It works on its own copy of the tokenizer, which nobody changes, so that no lock is needed.
    """
    own = copy.deepcopy(tokenizer)
    backend = getattr(own, "backend_tokenizer", None)
    if backend is not None:
        return lambda ids: backend.decode(ids, skip_special_tokens=not special)
    return lambda ids: own.decode(ids, skip_special_tokens=not special, clean_up_tokenization_spaces=False)


class TextStream:
    """The text of one sequence as it grows.

    `decode` turns token ids into text. Text is released once it can no longer change: bytes of an unfinished
    character are held back, and so is any end of the text that may become a stop string.
    """

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._ids: list[int] = []
        # Text of ids[start:end] is out already; it is decoded again with what follows, because a token's text can
        # depend on the one before it (a word's leading space). vLLM and TGI detokenise by the same two marks.
        self._start = 0
        self._end = 0
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """The text that `token` releases. Sets `stopped` when a stop string is complete."""
        self._ids.append(token)
        released = self._decode(self._ids[self._start : self._end])
        grown = self._decode(self._ids[self._start :])
        if len(grown) <= len(released) or grown.endswith("�"):
            return ""
        self._start, self._end = self._end, len(self._ids)
        return self._release(grown[len(released) :])

    def finish(self) -> str:
        """What is still held back, when the sequence ends without a stop string."""
        if self.stopped:
            return ""
        released = self._decode(self._ids[self._start : self._end])
        text = self._release(self._decode(self._ids[self._start :])[len(released) :])
        if not self.stopped:
            text, self._held = text + self._held, ""
        return text

    def _release(self, text: str) -> str:
        text = self._held + text
        stops = [index for stop in self._stop if (index := text.find(stop)) >= 0]
        if stops:
            self.stopped = True
            self._held = ""
            return text[: min(stops)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)

"""What a conversation becomes, in a form that a test can say something about."""

from __future__ import annotations

from typing import Any

from core.data.dataset import Message, Tools
from core.data.tokenize.encode import IGNORED, Example, encode
from core.serving.api.prompts import Prompts
from core.serving.api.requests import ChatCompletionRequest


def only_row(tokenizer: Any, messages: list[Message], tools: Tools | None = None) -> Example:
    (row,) = encode(tokenizer, messages, tools).examples
    return row


def trained_spans(row: Example) -> list[tuple[int, int]]:
    """[start, end) of each unbroken run of trained tokens."""
    spans: list[tuple[int, int]] = []
    for at, (token, label) in enumerate(zip(row["input_ids"], row["labels"], strict=True)):
        if label == IGNORED:
            continue
        assert label == token
        if spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans


def trained_runs(tokenizer: Any, row: Example) -> list[str]:
    """The text of each unbroken run of trained tokens."""
    return [
        tokenizer.decode(row["input_ids"][start:end], clean_up_tokenization_spaces=False)
        for start, end in trained_spans(row)
    ]


def engine_prompt(tokenizer: Any, messages: list[Message]) -> list[int]:
    """The tokens that the engine sends for a chat request with these messages."""
    request = ChatCompletionRequest.model_construct(model="base", messages=list(messages))
    (prompt,) = Prompts(tokenizer, 1 << 30, 1 << 20).encode(request)
    return prompt

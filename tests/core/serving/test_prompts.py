"""Prompts are rendered as training renders them."""

from __future__ import annotations

import pytest

from core.data.tokens import encode
from core.serving.params import SamplingParams
from core.serving.prompts import Prompts
from core.serving.protocol import ApiError, Ask
from tests.core.data.templates import FAMILIES, tokenizer_for

SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"role": "user", "content": "Where?"}
ANSWER = {"role": "assistant", "content": "There."}


def asked(family: str, *messages: dict[str, str]) -> list[int]:
    ask = Ask("base", list(messages), None, {}, SamplingParams(max_tokens=1), 1, 1, False, False, None)
    (prompt,) = Prompts(tokenizer_for(family), 100_000).encode(ask)
    return prompt


@pytest.mark.parametrize("family", FAMILIES)
def test_a_system_prompt_reaches_the_model_as_it_does_in_training(family: str) -> None:
    """Gemma's template refuses system messages."""
    prompt = asked(family, SYSTEM, QUESTION)
    trained = encode(tokenizer_for(family), [SYSTEM, QUESTION, ANSWER], None)["input_ids"]
    assert "Be brief." in tokenizer_for(family).decode(prompt)
    assert trained[: len(prompt)] == prompt


def test_what_the_template_refuses_is_told_and_not_mended() -> None:
    with pytest.raises(ApiError, match="chat template does not take these messages") as refused:
        asked("gemma", SYSTEM, ANSWER)
    assert refused.value.status == 400

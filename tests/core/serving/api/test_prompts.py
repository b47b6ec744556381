"""Prompts are rendered as training renders them, bounded before they are, and none waits for another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from core.serving.api.errors import ApiError
from core.serving.api.prompts import Prompts
from core.serving.api.requests import ChatCompletionRequest, CompletionRequest, GenerationRequest, parse_request
from tests.core.data.rows import only_row
from tests.core.data.tokenize.templates import FAMILIES, tokenizer_for
from tests.core.serving import tiny

SYSTEM: Any = {"role": "system", "content": "Be brief."}
QUESTION: Any = {"role": "user", "content": "Where?"}
ANSWER: Any = {"role": "assistant", "content": "There."}


def request_for(*messages: dict[str, str], **fields: Any) -> GenerationRequest:
    """A chat request with these messages, or a plain one when there are none."""
    if messages:
        return parse_request(ChatCompletionRequest, {"model": "base", "messages": list(messages)} | fields)
    return parse_request(CompletionRequest, {"model": "base"} | fields)


def prompt_for(family: str, *messages: dict[str, str]) -> list[int]:
    (prompt,) = Prompts(tokenizer_for(family), 100_000, 512).encode(request_for(*messages))
    return prompt


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    return tiny.tokenizer()


@pytest.fixture
def prompts(tokenizer: PreTrainedTokenizerBase) -> Prompts:
    """For contexts of 64 tokens, of which none has more than 13 characters."""
    return Prompts(tokenizer, 262, 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_system_prompt_reaches_the_model_as_it_does_in_training(family: str) -> None:
    """Gemma's template refuses system messages."""
    prompt = prompt_for(family, SYSTEM, QUESTION)
    trained = only_row(tokenizer_for(family), [SYSTEM, QUESTION, ANSWER])["input_ids"]
    assert "Be brief." in tokenizer_for(family).decode(prompt)
    assert trained[: len(prompt)] == prompt


def test_what_the_template_refuses_is_told_and_not_mended() -> None:
    with pytest.raises(ApiError, match="chat template does not take these messages") as refused:
        prompt_for("gemma", SYSTEM, ANSWER)
    assert refused.value.status == 400


@pytest.mark.parametrize("error", [TypeError("no"), KeyError("x"), ZeroDivisionError(), RecursionError("deep")])
def test_whatever_a_template_raises_is_the_fault_of_the_messages(
    prompts: Prompts, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def render(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(prompts.tokenizer, "apply_chat_template", render)
    with pytest.raises(ApiError, match=r"chat template does not take these messages: ."):
        prompts.encode(request_for(QUESTION))


def test_an_error_of_a_template_is_not_as_long_as_the_conversation(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = "{{ raise_exception(messages[0].content) }}"
    with pytest.raises(ApiError) as refused:
        Prompts(tokenizer, 262, 4096).encode(request_for({"role": "user", "content": "no " * 10_000}))
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("messages", [[{"role": "user", "content": "x" * 1000}], [SYSTEM, QUESTION] * 40])
def test_what_can_never_fit_is_refused_before_it_is_rendered(
    prompts: Prompts, monkeypatch: pytest.MonkeyPatch, messages: list[dict[str, str]]
) -> None:
    def render(*_: Any, **__: Any) -> str:
        raise AssertionError("it is rendered")

    many = [message | {"content": message["content"] * 10} for message in messages]
    monkeypatch.setattr(prompts.tokenizer, "apply_chat_template", render)
    with pytest.raises(
        ApiError, match=r"characters cannot fit: this engine holds 64 tokens .* longer than 13"
    ) as refused:
        prompts.encode(request_for(*many))
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")


def test_what_was_thought_counts_in_the_bound(prompts: Prompts) -> None:
    with pytest.raises(ApiError, match="cannot fit"):
        prompts.encode(request_for(QUESTION, ANSWER | {"reasoning_content": "x" * 64 * 14}, QUESTION))


def test_a_template_cannot_make_more_of_it_than_fits(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = "{% for i in range(200) %}{{ messages[0].content }}{% endfor %}"
    with pytest.raises(ApiError, match="cannot fit"):
        Prompts(tokenizer, 262, 64).encode(request_for(QUESTION))


def test_the_bound_refuses_nothing_that_fits(prompts: Prompts) -> None:
    (longest,) = prompts.encode(request_for(prompt=["<|assistant|>" * 64]))
    assert len(longest) == 64
    with pytest.raises(ApiError, match="833 characters cannot fit"):
        prompts.encode(request_for(prompt=["<|assistant|>" * 64 + "x"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_is_encoded_as_its_tokenizer_does(family: str) -> None:
    tokenizer = tokenizer_for(family)
    text = "Ça va? 🦜 <|im_start|>\n\n<s> x"
    prompts = Prompts(tokenizer, 100_000, 512)
    assert prompts.encode(request_for(prompt=[text])) == [tokenizer.encode(text)]


def test_a_tokenizers_own_limit_cuts_no_prompt_off(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=32)
    (prompt,) = Prompts(tokenizer, 262, 64).encode(request_for(prompt=["Once upon"]))
    assert len(prompt) == 9


def test_a_long_prompt_keeps_no_other_waiting(prompts: Prompts, monkeypatch: pytest.MonkeyPatch) -> None:
    render, entered, leave = prompts.tokenizer.apply_chat_template, threading.Event(), threading.Event()

    def slow(messages: list[dict[str, str]], **arguments: Any) -> str:
        if messages[0]["content"] == "long":
            entered.set()
            assert leave.wait(60)
        return str(render(messages, **arguments))

    monkeypatch.setattr(prompts.tokenizer, "apply_chat_template", slow)
    with ThreadPoolExecutor(1) as other:
        long = other.submit(prompts.encode, request_for({"role": "user", "content": "long"}))
        try:
            assert entered.wait(60)
            assert prompts.encode(request_for({"role": "user", "content": "hi"}))
            assert not long.done()
        finally:
            leave.set()


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (request_for(QUESTION, stop_token_ids=[5, 262]), "stop_token_ids"),
        (request_for(QUESTION, logit_bias={"262": 1.0}), "logit_bias"),
        (request_for(prompt=[[1, 2], [3, 262]]), "prompt"),
    ],
)
def test_a_token_that_the_base_lacks_is_named(prompts: Prompts, asked: GenerationRequest, param: str) -> None:
    with pytest.raises(ApiError, match="no token 262; its vocabulary has 262") as refused:
        prompts.encode(asked)
    assert refused.value.param == param

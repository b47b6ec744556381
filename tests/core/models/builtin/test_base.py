"""The built-in base as committed: its tokenizer, its template, its weights, and that it knows its world in NF4."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from core.models.base import BUILTIN, load_tokenizer, resolve
from core.models.builtin import BASE_DIR
from tools.builtin_model.dialogues import conversation
from tools.builtin_model.evaluate import load, replies
from tools.builtin_model.questions import world_questions
from tools.builtin_model.tokenizer import SPECIAL


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(resolve(BUILTIN))


@pytest.fixture(scope="module")
def model() -> Any:
    return load()[0]


@pytest.mark.parametrize(
    "text", ["Hello, world!", "naïve café", "你好，世界", "🦙👩‍👩‍👧‍👦 ✈️", "  two\n\n\tlines 3.14  ", ""]
)
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.slow
@given(text=st.text().filter(lambda text: not any(token in text for token in SPECIAL)))
@settings(max_examples=200)
def test_any_unicode_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_are_single_tokens(tokenizer: Any) -> None:
    assert tokenizer.tokenize("10 + 365") == ["1", "0", "Ġ+", "Ġ", "3", "6", "5"]


def test_generation_marks_cover_what_the_assistant_says_and_its_end(tokenizer: Any) -> None:
    rng = random.Random(0)
    for _ in range(100):
        messages = conversation(rng)
        encoded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        trained = [i for i, mask in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mask]
        said = [message["content"] for message in messages if message["role"] == "assistant"]
        assert tokenizer.decode(trained) == "".join(f"{text}<|end|>" for text in said)


def test_template_prompt_is_a_prefix_of_the_whole(tokenizer: Any) -> None:
    asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello!"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": "Hi!"}], tokenize=False)
    assert prompt == "<|begin|><|system|>Be kind.<|end|><|user|>Hello!<|end|><|assistant|>"
    assert whole == f"{prompt}Hi!<|end|>"


def test_weights_are_half_precision_safetensors_of_at_most_12_mb() -> None:
    path = BASE_DIR / "model.safetensors"
    assert path.stat().st_size <= 12_000_000
    with safe_open(path, "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (not a dict)
    assert kinds == {"F16"}


def test_linear_layers_fit_nf4_blocks(model: Any) -> None:
    import bitsandbytes as bnb

    linears = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert len(linears) == 7 * model.config.num_hidden_layers
    assert all(module.in_features % 64 == 0 and module.out_features % 64 == 0 for module in linears)


@pytest.mark.slow
def test_the_base_knows_its_world_in_nf4(model: Any, tokenizer: Any) -> None:
    """A fixed draw of the held-out questions; the whole table is in docs/builtin-base.md."""
    questions = random.Random(1).sample(
        [question for question in world_questions() if question.category != "stories"], 60
    )
    wrong = [
        (question.messages[-1]["content"], reply)
        for question, reply in zip(questions, replies(model, tokenizer, questions), strict=True)
        if not question.right(reply)
    ]
    assert len(wrong) <= 0.2 * len(questions), wrong


def test_the_sentence_of_the_readme(model: Any, tokenizer: Any) -> None:
    from tools.builtin_model.questions import Question

    question = Question("", ({"role": "user", "content": "What is the capital of Cuba?"},), lambda reply: True)
    assert replies(model, tokenizer, [question]) == ["The capital of Cuba is Havana."]

"""What a request's body may hold: everything else is refused with a 400, whatever it is."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
import trl
from hypothesis import given, settings
from hypothesis import strategies as st

from core.serving.api.body import MAX_BYTES, MAX_NESTED, MAX_VALUES, parse_json
from core.serving.api.errors import ApiError
from core.serving.api.prompts import Prompts
from core.serving.api.request_fields import TEMPLATE_KEYS
from core.serving.api.requests import (
    ChatCompletionRequest,
    CompletionRequest,
    GenerationRequest,
    parse_request,
)
from tests.core.serving import tiny
from tests.core.serving.api.strange_requests import CHAT, OF_CHAT, OF_COMPLETIONS, PLAIN, SHARED, strange, written


def chat(**change: Any) -> ChatCompletionRequest:
    return parse_request(ChatCompletionRequest, parse_json(written(CHAT | change)))


def parsed(body: dict[str, Any]) -> GenerationRequest:
    kind: type[GenerationRequest] = ChatCompletionRequest if "messages" in body else CompletionRequest
    return parse_request(kind, parse_json(written(body)))


def refused(body: dict[str, Any]) -> ApiError:
    """How the engine refuses a body, of whichever endpoint, before anything is generated."""
    with pytest.raises(ApiError) as error:
        prompts().encode(parsed(body))
    assert error.value.status == 400
    assert set(error.value.body["error"]) == {"message", "type", "param", "code"}
    return error.value


@cache
def prompts() -> Prompts:
    return Prompts(tiny.tokenizer(), 262, 512)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        *(
            ({"prompt": ids}, "prompt")
            for ids in ([-1], [5, -1], [[5], [-1]], [262], [[262]], [10**30], [True], [[1.5]])
        ),
        *(({"stop_token_ids": ids}, "stop_token_ids") for ids in ([-1], [262], [10**30], [True], ["5"], [1] * 257)),
        *(({"logit_bias": {token: 1}}, "logit_bias") for token in ("-1", "262", "9" * 30, "1_0", " 5", "x", "", "٣")),
        *(({"logit_bias": {"5": value}}, "logit_bias") for value in (101, 1e400, 10**400, True, "1", None, [1])),
        ({"logit_bias": {str(token): 1 for token in range(1025)}}, "logit_bias"),
        *(({"temperature": value}, "temperature") for value in (-1e-320, 2.1, 1e400, 10**400, True, "1", [1])),
        *(({"top_p": value}, "top_p") for value in (-0.1, 1.1, False)),
        *(({"seed": value}, "seed") for value in (2**63, 1.5, True, -(10**400))),
        *(({"max_tokens": value}, "max_tokens") for value in (0, -1, 10**400, True, 1.0)),
        *(({"n": value}, "n") for value in (0, 17, True, 1.0)),
        ({"logprobs": 10**400}, "logprobs"),
        ({"prompt": ["x"] * 17}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": "x" * 1025}, "stop"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"x" * 1000: 1}, "x" * 79 + "…"),
    ],
)
def test_a_field_that_is_out_of_bounds_is_named(change: dict[str, Any], param: str) -> None:
    error = refused(PLAIN | change)
    assert error.param == param
    assert len(error.message) < 400, "nobody gets their own megabytes back"


@pytest.mark.parametrize(
    "given",
    [
        {"chat_template": "{{ 'x' * 10 }}"},
        {"tokenize": True},
        {"tools": []},
        {"documents": []},
        {"continue_final_message": True},
        {"padding": "max_length", "max_length": 10**9},
        {"return_dict": True},
        {"tokenizer_kwargs": {}},
        {"messages": []},
        {"bos_token": "x"},
        {"enable_thinking": {}},
        {"enable_thinking": [True]},
        {"reasoning_effort": "x" * 65},
        {"x" * 1000: 1},
    ],
)
def test_chat_template_kwargs_take_nothing_that_is_not_on_the_list(given: dict[str, Any]) -> None:
    error = refused(CHAT | {"chat_template_kwargs": given})
    assert error.param == "chat_template_kwargs"
    assert all(key in error.message for key in TEMPLATE_KEYS) or "must be true or false" in error.message


def test_chat_template_kwargs_reach_the_template() -> None:
    request = chat(chat_template_kwargs={"enable_thinking": False, "reasoning_effort": "low", "thinking": None})
    wanted = {"enable_thinking": False, "reasoning_effort": "low", "thinking": None, "add_generation_prompt": True}
    assert request.template_arguments == wanted


@pytest.mark.parametrize(
    ("role", "more", "param"),
    [
        ("assistant", {"tool_calls": [{"id": "1"}]}, "messages[1].tool_calls"),
        ("assistant", {"function_call": {"name": "f"}}, "messages[1].function_call"),
        ("assistant", {"prefix": True}, "messages[1].prefix"),
        ("assistant", {"reasoning_content": ["So."]}, "messages[1].reasoning_content"),
        ("user", {"reasoning_content": "So."}, "messages[1].reasoning_content"),
        ("user", {"name": 5}, "messages[1].name"),
    ],
)
def test_what_a_message_says_beside_its_text_is_never_passed_over(role: str, more: dict[str, Any], param: str) -> None:
    message = {"role": role, "content": "There."} | more
    assert (
        refused(CHAT | {"messages": [{"role": "user", "content": "Where?"}, message]}).body["error"]["param"] == param
    )


def test_what_was_thought_and_who_speaks_reach_the_template() -> None:
    thought = {"role": "assistant", "content": "There.", "reasoning_content": "An island."}
    asked = {"role": "user", "content": "And now?", "name": "Ada"}
    empty: dict[str, Any] = {
        "refusal": None,
        "tool_calls": None,
        "annotations": [],
        "audio": None,
    }  # as clients send answers back
    request = chat(messages=[{"role": "user", "content": "Where?"}, thought | empty, asked])
    assert request.messages[1:] == [thought, asked]


@pytest.mark.slow
def test_every_key_for_templates_is_one_that_a_template_reads() -> None:
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])
    read: set[str] = set()
    for template in Path(trl.__path__[0]).glob("chat_templates/*.jinja"):
        text = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", template.read_text())
        read |= jinja2.meta.find_undeclared_variables(environment.parse(text))
    assert set(TEMPLATE_KEYS) <= read


@pytest.mark.parametrize("temperature", [0, -0.0, 1e-320, 5e-324, 1e-6])
def test_a_temperature_that_vanishes_is_greedy(temperature: float) -> None:
    assert chat(temperature=temperature).sampling_params({}, 1).temperature == 0.0
    assert chat(temperature=0.01).sampling_params({}, 1).temperature == 0.01


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ude00\\ud83d", "x\\uD83Dx"])
@pytest.mark.parametrize(
    "body",
    [
        '{"model": "%s"}',
        '{"model": "base", "messages": [{"role": "user", "content": "%s"}]}',
        '{"prompt": ["%s"]}',
        '{"stop": "%s"}',
        '{"user": "%s"}',
        '{"%s": 1}',
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_is(body: str, half: str) -> None:
    with pytest.raises(ApiError, match="half of a surrogate pair") as error:
        parse_json((body % half).encode())
    error.value.message.encode()


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_json(b'{"a": "\\ud83e\\udd9c \\\\ud83d"}') == {"a": "🦜 \\ud83d"}


@pytest.mark.parametrize(
    "raw", [b"{", b"", b"[]", b"null", b"\xff", b"\xed\xa0\x80", b'{"a": NaN}', b'{"a": -Infinity}']
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ApiError) as error:
        parse_json(raw)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * (MAX_NESTED + 1),
        b'{"a": [' + b"[]," * MAX_NESTED + b"1]}",
        b'{"a": [' + b"1," * (MAX_VALUES + 1) + b"1]}",
        b'{"a": "\\"", "b": [' + b"{}," * MAX_NESTED + b"1]}",
    ],
)
def test_a_body_that_would_take_long_to_parse_is_not_parsed(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(*_: Any, **__: Any) -> Any:
        raise AssertionError("it is parsed")

    monkeypatch.setattr(json, "loads", loads)
    with pytest.raises(ApiError, match="at most 20000 and 500000 are read"):
        parse_json(raw)


def test_what_stands_in_a_text_is_not_counted() -> None:
    text = '[{"\\",' * MAX_NESTED
    assert parse_json(json.dumps({"a": text}).encode()) == {"a": text}


def test_a_body_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(ApiError) as error:
        parse_json(b" " * (MAX_BYTES + 1))
    assert (error.value.status, error.value.body["error"]["type"]) == (413, "invalid_request_error")


@pytest.mark.slow
@settings(max_examples=300)
@given(st.one_of(strange(CHAT, SHARED + OF_CHAT), strange(PLAIN, SHARED + OF_COMPLETIONS)))
def test_a_strange_body_is_understood_or_refused_and_never_a_fault(body: dict[str, Any]) -> None:
    try:
        for prompt in prompts().encode(parsed(body)):
            assert all(0 <= token < 262 for token in prompt)
    except ApiError as error:
        assert error.status == 400
        json.dumps(error.body, allow_nan=False, ensure_ascii=False).encode()

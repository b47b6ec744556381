"""Conversations in which tools are called, and answers that are not trained: kept, or refused, never dropped."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from adapters.common.errors import UserError
from core.data import Conversation, TokenCounter
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow, Message, Tools
from core.data.split import normalised_turns
from core.data.tokenize.encode import IGNORED, Example
from tests.core.data.rows import only_row
from tests.core.data.tokenize.templates import FAMILIES, tokenizer_for

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
READ_CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich"}}, "id": "c1"}
OPENAI: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "12 °C"},
    {"role": "assistant", "content": "It is cool."},
]
SHAREGPT = [
    {"from": "human", "value": "Weather?"},
    {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Zürich"}}'},
    {"from": "observation", "value": "12 °C"},
    {"from": "gpt", "value": "It is cool."},
]
SCHEMA = {"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": {}}}
# In the manner of Qwen 2.5: tools in the system turn, calls as JSON in tags, results in a user turn.
TOOL_TEMPLATE = (
    "{% if tools %}{{ '<|im_start|>system\n# Tools\n' }}{% for t in tools %}{{ t | tojson }}\n{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}"
    "{% if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}"
    "{{ '<|im_start|>user' }}{% endif %}{{ '\n<tool_response>\n' + m.content + '\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content }}{% for c in m.tool_calls or [] %}"
    "{{ '\n<tool_call>\n' + (c.function | tojson) + '\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def knows_tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    tokenizer = tokenizer_for("chatml")
    monkeypatch.setattr(tokenizer, "chat_template", TOOL_TEMPLATE)
    return tokenizer


def scanned(row: dict[str, Any]) -> tuple[list[Conversation], list[str]]:
    scan = DatasetChecker([DatasetRow(1, row)])
    return list(scan), [problem.what for problem in scan.problems]


def trained(tokenizer: Any, example: Example) -> str:
    labels = [label if label != IGNORED else None for label in example["labels"]]
    runs: list[list[int]] = [[]]
    for label in labels:
        if label is None:
            if runs[-1]:
                runs.append([])
        else:
            runs[-1].append(label)
    return "|".join(tokenizer.decode(run) for run in runs if run)


def test_openai_and_sharegpt_calls_become_the_same_messages() -> None:
    (openai,), _ = scanned({"messages": OPENAI, "tools": [SCHEMA]})
    (sharegpt,), _ = scanned({"conversations": SHAREGPT, "tools": json.dumps([SCHEMA["function"]])})
    assert openai.messages[1] == {"role": "assistant", "content": "", "tool_calls": [READ_CALL]}
    assert openai.messages[2] == {"role": "tool", "content": "12 °C", "tool_call_id": "c1"}
    assert sharegpt.messages[1].get("tool_calls") == [{key: READ_CALL[key] for key in ("type", "function")}]
    assert sharegpt.messages[2] == {"role": "tool", "content": "12 °C"}
    assert openai.tools == sharegpt.tools == [SCHEMA]


def test_a_call_beside_text_is_not_dropped(knows_tools: Any) -> None:
    turns = [OPENAI[0], {**OPENAI[1], "content": "Let me see."}, *OPENAI[2:]]
    (conversation,), _ = scanned({"messages": turns})
    assert conversation.messages[1]["content"] == "Let me see." and conversation.messages[1]["tool_calls"] == [
        READ_CALL
    ]
    text = knows_tools.decode(only_row(knows_tools, conversation.messages)["input_ids"])
    assert 'Let me see.\n<tool_call>\n{"name": "weather"' in text


def test_calls_and_answers_are_trained_and_results_and_schemas_are_not(knows_tools: Any) -> None:
    (conversation,), _ = scanned({"messages": OPENAI, "tools": [SCHEMA]})
    example = only_row(knows_tools, conversation.messages, conversation.tools)
    call = '\n<tool_call>\n{"name": "weather", "arguments": {"city": "Zürich"}}\n</tool_call><|im_end|>'
    assert trained(knows_tools, example) == f"{call}|It is cool.<|im_end|>"
    assert '"description": "Tells it"' in knows_tools.decode(example["input_ids"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_without_tools_refuses_them_by_name(family: str) -> None:
    (conversation,), _ = scanned({"messages": OPENAI})
    with pytest.raises(UserError, match=r"leaves out the call of weather in message 2|refuses|leaves out the tool's"):
        only_row(tokenizer_for(family), conversation.messages)
    plain = [Message(role="user", content="Hi"), Message(role="assistant", content="Hello")]
    tools: Tools = [SCHEMA]
    with pytest.raises(UserError, match="leaves out the description of the tool weather"):
        only_row(tokenizer_for(family), plain, tools)


def test_the_refusal_is_a_problem_of_the_row() -> None:
    counter = TokenCounter(tokenizer_for("chatml"), 512)
    (conversation,), _ = scanned({"messages": OPENAI})
    counter.add(conversation)
    assert "leaves out the call of weather" in counter.problems[0].what and "Qwen" in counter.problems[0].remedy


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([OPENAI[0], OPENAI[2], OPENAI[3]], "Message 2 is a tool's answer, but message 1 is not"),
        ([*OPENAI[:3], OPENAI[0], OPENAI[3]], "Message 4 is a human turn directly after a tool's answer"),
        ([{**OPENAI[0], "tool_calls": [CALL]}, OPENAI[3]], "calls a tool, but is not the assistant's"),
        ([OPENAI[0], {"role": "assistant", "tool_calls": [{"id": 1}]}], "without a function's name"),
        ([OPENAI[0], {"role": "assistant", "tool_calls": "weather()"}], "are text, not a list"),
        (
            [OPENAI[0], {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
            "arguments of f in messages\\[1\\] is not valid JSON",
        ),
        ([{"from": "human", "value": "a"}, {"from": "function_call", "value": "f()"}], "is not valid JSON"),
        ([OPENAI[0], {**OPENAI[3], "weight": 0.5}], "has the weight 0.5"),
        ([OPENAI[0], {**OPENAI[3], "weight": 0}], "marked as not to be trained .weight 0.: nothing of it would be"),
    ],
)
def test_what_is_wrong_with_tools_and_weights_is_told(turns: list[dict[str, Any]], reason: str) -> None:
    conversations, problems = scanned({"messages": turns})
    assert not conversations
    (problem,) = problems
    assert re.search(reason, problem)


def test_a_result_at_the_end_is_left_out_with_a_remark() -> None:
    scan = DatasetChecker([DatasetRow(1, {"messages": OPENAI[:3]})])
    (conversation,) = scan
    assert [message["role"] for message in conversation.messages] == ["user", "assistant"]
    assert "tool's answer that nobody reads" in scan.notes[0].what


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_of_weight_0_is_context_and_the_others_are_trained(family: str) -> None:
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "uno", "weight": 0},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "due", "weight": 1},
    ]
    (conversation,), _ = scanned({"messages": turns})
    text = trained(tokenizer_for(family), only_row(tokenizer_for(family), conversation.messages))
    assert "due" in text and "uno" not in text and "|" not in text.replace("<|", "").replace("|>", "")


def test_a_system_column_beside_the_turns_is_the_system_prompt() -> None:
    (conversation,), _ = scanned({"system": "Be kind.", "conversations": [SHAREGPT[0], SHAREGPT[3]]})
    assert conversation.messages[0] == {"role": "system", "content": "Be kind."}


def test_conversations_that_call_differently_are_not_the_same() -> None:
    other = json.loads(json.dumps(OPENAI))
    other[1]["tool_calls"][0]["function"]["arguments"] = '{"city": "Bern"}'
    (first,), _ = scanned({"messages": OPENAI})
    (second,), _ = scanned({"messages": other})
    assert normalised_turns(first) != normalised_turns(second)


def test_a_conversation_with_tools_is_exported_and_read_back_the_same() -> None:
    (conversation,), _ = scanned({"messages": OPENAI, "tools": [SCHEMA]})
    assert scanned(json.loads(json.dumps(conversation.to_dict()))) == ([conversation], [])

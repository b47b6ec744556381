"""Texts that already carry a chat markup: they become turns, or are refused with the markup's name; never prose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trl
from transformers.utils.chat_template_utils import render_jinja_template

from core.data import Message
from tests.core.data.checked_rows import check_rows, problem_of
from tests.sweeps import sweep

TEMPLATES = [
    path
    for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
    if not path.stem.endswith("_training")
]
TALK: list[Message] = [
    {"role": "user", "content": "Where is Havana?"},
    {"role": "assistant", "content": "In Cuba."},
    {"role": "user", "content": "And Bern?"},
    {"role": "assistant", "content": "In Switzerland."},
]


def turns(row: dict[str, Any]) -> list[Message]:
    (conversation,), scan = check_rows(row)
    assert not scan.problems
    return conversation.messages


def pair(question: str, answer: str) -> list[Message]:
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]


def without_system(messages: list[Message]) -> list[Message]:
    """Some templates write a system prompt of their own."""
    return messages[1:] if messages[0]["role"] == "system" else messages


WITHOUT_MARKS = {path.stem: path for path in TEMPLATES if not path.stem.endswith("_training")}


@pytest.mark.parametrize("name", sweep(WITHOUT_MARKS, fast=("llama3_1", "gemma3", "qwen3", "muse_glimmer", "idefics3")))
def test_what_any_chat_template_writes_is_read_as_turns_or_refused(name: str) -> None:
    """As a text, and divided into a prompt and what answers it."""
    path = WITHOUT_MARKS[name]

    def render(messages: list[Message], prompt: bool) -> str:
        parts = [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]
        given: list[Any] = [parts if path.stem in ("idefics3", "smolvlm", "llava_next") else messages]
        texts, _ = render_jinja_template(
            given, chat_template=path.read_text(), add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>"
        )
        return str(texts[0])

    text, prompt = render(TALK, False), render(TALK[:-1], True)
    completion = text[len(prompt) :] if text.startswith(prompt) else TALK[-1]["content"]
    for row in ({"text": text}, {"prompt": prompt, "completion": completion}):
        conversations, scan = check_rows(row)
        if path.stem in ("muse_glimmer", "smolvlm"):
            assert not conversations and ("ChatML" in scan.problems[0].what or "Harmony" in scan.problems[0].what)
            continue
        read = without_system(conversations[0].messages)
        assert [(message["role"], message["content"]) for message in read] == [
            (message["role"], message["content"]) for message in TALK
        ]
        # What stands in a prompt is context, whoever says it.
        assert [message.get("weight") for message in read] == [None, 0 if "prompt" in row else None, None, None]


PHI_4 = "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>Hi<|im_end|>"
PHI_4 += "<|im_start|>assistant<|im_sep|>Hello<|im_end|>"
MARKED = {
    "phi-4": PHI_4,
    "newer mistral": "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hi[/INST]Hello</s>",
    "llama 4": "<|begin_of_text|><|header_start|>system<|header_end|>\n\nBe brief.<|eot|><|header_start|>user"
    "<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\nHello<|eot|>",
    "granite": "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Hi"
    "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>Hello<|end_of_text|>",
    "exaone": "[|system|]Be brief.[|endofturn|]\n[|user|]Hi\n[|assistant|]Hello[|endofturn|]",
    "kimi": "<|im_system|>system<|im_middle|>Be brief.<|im_end|><|im_user|>user<|im_middle|>Hi<|im_end|>"
    "<|im_assistant|>assistant<|im_middle|>Hello<|im_end|>",
    "open assistant": "<|system|>Be brief.<|endoftext|><|prompter|>Hi<|endoftext|><|assistant|>Hello<|endoftext|>",
    "glm": "[gMASK]<sop><|system|>\nBe brief.<|user|>\nHi<|assistant|>\n<think></think>\nHello",
    "alpaca": "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>",
    "trl's documentation": "Be brief. ### Question: Hi\n ### Answer: Hello",
    "solar": "### System:\nBe brief.\n\n### User:\nHi\n\n### Assistant:\nHello",
    "transcript": "System: Be brief.\nUser: Hi\nAssistant: Hello",
}


@pytest.mark.parametrize("text", MARKED.values(), ids=MARKED)
def test_other_markups_are_read_too_with_and_without_a_mark_of_beginning(text: str) -> None:
    expected = [Message(role="system", content="Be brief."), *pair("Hi", "Hello")]
    for start in ("", "<|begin_of_text|>", "<bos>\n"):
        assert turns({"text": start + text}) == expected


def test_an_input_follows_its_instruction_and_headings_of_an_answer_stay_there() -> None:
    text = "### Instruction:\nTranslate.\n\n### Input:\nHi\n\n### Response:\nSalut\n### Input: none\n### Response: x"
    assert turns({"text": text}) == pair("Translate.\n\nHi", "Salut\n### Input: none\n### Response: x")
    again = "### Instruction: a ### Response: b ### Instruction: c ### Response: d"
    assert turns({"text": again}) == [*pair("a", "b"), *pair("c", "d")]


@pytest.mark.parametrize(
    "text",
    ["Human: Hi\n\nAssistant: Hello", "\n\nHuman: Hi\n\nAI: Hello", "Q: Hi\nA: Hello", "Question: Hi\n\nAnswer: Hello"],
)
def test_lines_of_two_speakers_are_a_transcript(text: str) -> None:
    assert turns({"text": text}) == pair("Hi", "Hello")
    quoted = text.replace("Human:", "Q:").replace("AI:", "A:").replace("Assistant:", "A:")
    assert turns({"text": f"He said:\n{quoted}"})[0]["role"] == "text"  # a story that quotes one


def test_harmonys_thoughts_are_reasoning_and_its_own_system_turn_is_left_out() -> None:
    text = (
        "<|start|>system<|message|>You are ChatGPT, a large language model.\n# Valid channels: analysis, final.<|end|>"
        "<|start|>developer<|message|># Instructions\n\nBe brief.\n\n<|end|><|start|>user<|message|>Hi<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>A greeting.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hello<|return|>"
    )
    assert turns({"text": text}) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "reasoning_content": "A greeting."},
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|python_tag|>f()", "Llama 3"),
        ("<|turn>user\nHi<turn|>\n<|turn>model\n<|tool_call>f<tool_call|><turn|>", "Gemma 4"),
        ("<｜User｜>Hi<｜Assistant｜><｜tool▁calls▁begin｜>", "DeepSeek"),
        ("<s>[AVAILABLE_TOOLS][][/AVAILABLE_TOOLS][INST] Hi [/INST] Hello</s>", "Mistral"),
        ("[INST] Hi [/INST][TOOL_CALLS][]</s>", "Mistral"),
        ("<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}<|call|>", "Harmony"),
        ("<|im_start|>user Hi", "ChatML"),
        ("<start_of_turn>user\nHi<end_of_turn> and more", "Gemma"),
        ("So: <|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>", "Zephyr, Phi-3 or GLM"),
        ("<|User|>: Hi\n<|Bot|>: Hello", "<|User|>"),
        ("<human>: Hi\n<bot>: Hello", "<human>"),
        ("[USER] Hi [ASSISTANT] Hello", "[USER]"),
        ("<extra_id_0>System\n\n<extra_id_1>User\nHi\n<extra_id_1>Assistant\nHello\n", "<extra_id_1>User"),
        ("<|turn|>user\nHi<|turn|>assistant\nHello", "<|turn|>user"),
        ("<reserved_106>Hi<reserved_107>Hello", "<reserved_106>"),
        ("### USER\nHi\n### ASSISTANT\nHello", "### USER"),
        ("GPT4 Correct User: Hi<|end_of_turn|>GPT4 Correct Assistant: Hello", "GPT4 Correct User"),
        ("[Round 1]\n\n问：你好\n\n答：你好！", "问"),
    ],
)
def test_markup_that_cannot_be_read_is_refused_by_its_name_and_never_trained_as_prose(text: str, name: str) -> None:
    assert name in problem_of({"text": text})


def test_rows_with_a_markup_in_a_file_of_prose_are_turns_and_not_prose() -> None:
    rows = [{"text": f"Once there was a llama called {number}."} for number in range(30)]
    marked = [{"text": "<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>"}, {"text": "<bot>a<user>b"}]
    conversations, scan = check_rows(*rows, *marked)
    assert scan.format.name == "text" and conversations[-1].messages == pair("Hi", "Hello")
    assert [problem.row for problem in scan.problems] == [32]
    (conversation,), _ = check_rows(marked[1], dataset_format="text")  # who asks for it gets it
    assert conversation.messages[0]["role"] == "text"


@pytest.mark.parametrize(
    "start", ["<s>", "<s> ", "<|begin_of_text|>", "<bos>", "[gMASK]<sop>", "<｜begin▁of▁sentence｜>"]
)
@pytest.mark.parametrize("end", ["", "</s>", " </s>\n", "<|end_of_text|>", "<|im_end|>\n", "<eos>"])
def test_marks_of_beginning_and_end_are_left_out_and_told(start: str, end: str) -> None:
    for row in (
        {"text": f"{start}Once upon a time.{end}"},
        {"prompt": f"{start}Who?", "completion": f"{start}Once upon a time.{end}"},
        {
            "messages": [
                {"role": "user", "content": "Who?"},
                {"role": "assistant", "content": f"Once upon a time.{end}"},
            ]
        },
    ):
        (conversation,), scan = check_rows(row)
        assert conversation.messages[-1]["content"] == "Once upon a time."
        assert conversation.messages[0]["content"] in ("Who?", "Once upon a time.")
        told = [note.what for note in scan.notes if "left out" in note.what and "(1 row)" in note.what]
        assert any(f'"{end.strip()}"' in text for text in told) == bool(end.strip())


def test_text_that_is_struck_through_in_html_stays() -> None:
    for text in ("<s>20</s> 15 euros", "It costs <s>20</s>"):
        assert turns({"prompt": "How much?", "completion": text}) == pair("How much?", text)


def test_spans_stay_where_they_are_when_marks_before_them_are_left_out() -> None:
    detail = [{"begin_offset": 8, "end_offset": 13, "train": True}]
    row = {"messages": [TALK[0], {"role": "assistant", "content": "<s> Say Havana.</s>", "train_detail": detail}]}
    message = turns(row)[1]
    assert message["content"] == "Say Havana."
    assert [message["content"][start:end] for start, end in message["untrained"]] == ["Say ", "."]


RENDERED = {
    "chatml": ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "Hello<|im_end|>"),
    "llama 2": ("<s>[INST] Hi [/INST]", " Hello </s>"),
    "llama 3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant"
        "<|end_header_id|>\n\n",
        "Hello<|eot_id|>",
    ),
    "both halves": ("<|im_start|>user\nHi<|im_end|>\n", "<|im_start|>assistant\nHello<|im_end|>"),
    "guanaco": ("### Human: Hi\n### Assistant:", " Hello"),
    "vicuna": ("USER: Hi ASSISTANT:", "Hello</s>"),
    "alpaca": ("### Instruction:\nHi\n\n### Response:\n", "Hello"),
    "transcript": ("\n\nHuman: Hi\n\nAssistant:", " Hello"),
}


@pytest.mark.parametrize(("prompt", "completion"), RENDERED.values(), ids=RENDERED)
def test_a_prompt_with_a_markup_and_its_answer_are_turns(prompt: str, completion: str) -> None:
    for columns in (("prompt", "completion"), ("question", "answer"), ("instruction", "output")):
        (conversation,), scan = check_rows(dict(zip(columns, (prompt, completion), strict=True)))
        assert conversation.messages == pair("Hi", "Hello")
        assert any("carries a chat markup" in note.what for note in scan.notes)
    (conversation,), _ = check_rows(
        {"prompt": prompt, "chosen": completion, "rejected": "No"}, dataset_format="preference"
    )
    assert conversation.messages == pair("Hi", "Hello")


def test_a_system_prompt_in_a_column_and_in_the_prompt_is_one_or_a_problem() -> None:
    row = {"prompt": "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n", "completion": "Hello</s>"}
    assert turns({**row, "system": "Be brief. "}) == [Message(role="system", content="Be brief."), *pair("Hi", "Hello")]
    assert "two different system prompts" in problem_of({**row, "system": "Be long."})


def test_a_prompt_that_only_quotes_a_markup_stays_as_it_is() -> None:
    for prompt in (
        "What does <|im_start|>user mean?",
        "Q: What is 2 + 2?\nA:",
        'Complete: "### Human: hi". What follows?',
        "USER: is a role. What is ASSISTANT: then?",
    ):
        assert turns({"prompt": prompt, "completion": "x"}) == pair(prompt, "x")


def test_answers_in_a_list_of_prompt_turns_are_not_trained() -> None:
    messages = turns({"prompt": TALK[:3], "completion": TALK[3:]})
    assert [message.get("weight") for message in messages] == [None, 0, None, None]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("<|im_start|>assistant\nHello<|im_end|>", "ChatML"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nHello", "Llama 3"),
        ("<start_of_turn>model\nHello<end_of_turn>", "Gemma"),
        ("<|assistant|>\nHello<|end|>", "Zephyr, Phi-3 or GLM"),
        ("<s>[INST] Hi [/INST] Hello", "Llama 2 or Mistral"),
        ("<｜Assistant｜>Hello", "DeepSeek"),
        ("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hello", "Cohere"),
        ("<|start|>assistant<|channel|>final<|message|>Hello", "Harmony"),
        ("Hello<|im_end|>\n<|im_start|>user\nAnd then?<|im_end|>\n<|im_start|>assistant\nBye", "ChatML"),
        ("Hello</s><s>[INST] And then? [/INST] Bye", "Llama 2 or Mistral"),
        ("Hello<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd?", "Llama 3"),
    ],
)
def test_turns_written_into_a_message_are_refused_by_the_markups_name(content: str, name: str) -> None:
    row = {"messages": [TALK[0], {"role": "assistant", "content": content}]}
    assert f"Message 2 holds turns as {name}" in problem_of(row)
    assert name in problem_of({"prompt": "Hi", "completion": content})


def test_a_markup_that_is_quoted_in_code_stays() -> None:
    code = "So:\n```\nHello<|im_end|>\n<|im_start|>user\nAnd then?\n```\nThat is ChatML."
    assert turns({"prompt": "How?", "completion": code}) == pair("How?", code)

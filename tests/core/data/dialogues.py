"""Random conversations in all scripts, with quotes, newlines, emoji and quoted markers, and what each format makes
of them."""

from __future__ import annotations

from hypothesis import strategies as st

from core.data import Message

PHRASES = (
    "What is the capital of Cuba?",
    "¿Qué hora es? ¡Las tres!",
    "日本の首都は東京です。",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "שלום עולם",
    "한국어 문장입니다",
    "🦙👩🏽‍🚀 emoji",
    "He said \"no\" and 'yes'.",
    "a\nb\n\nc",
    "1. one\n2. two\n\t- three",
    "# Heading\n## Sub",
    "```python\nprint('### Human: hi')\n```",
    'Write "### Human: x" before a question.',
    "The mark `### Assistant:` begins an answer.",
    '{"key": [1, 2]}',
    "back\\slash, semi;colon, tab\tend",
    "<b>&amp;</b>",
    "e\u0301 vs é",
)
LETTERS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="#<>[]|`~"), max_size=30
)


@st.composite
def words(draw: st.DrawFn) -> str:
    """Some text as a person may write it: not blank, no white space at its ends."""
    parts = draw(st.lists(st.one_of(st.sampled_from(PHRASES), LETTERS), min_size=1, max_size=3))
    text = draw(st.sampled_from((" ", "\n", "\n\n"))).join(parts).strip()
    # A text that ends with an opening quotation mark would quote the marker behind it.
    return text.rstrip("\"'“«‘„([{").strip() or "x"


@st.composite
def dialogues(draw: st.DrawFn, system: bool = True, turns: int = 3) -> list[Message]:
    """An optional system prompt, then 1 to `turns` exchanges."""
    messages = []
    if system and draw(st.booleans()):
        messages.append(Message(role="system", content=draw(words())))
    for _ in range(draw(st.integers(1, turns))):
        messages.append(Message(role="user", content=draw(words())))
        messages.append(Message(role="assistant", content=draw(words())))
    return messages


NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}
SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt"}


def guanaco_text(messages: list[Message], separator: str) -> str:
    """separator " " or "" is the inline dialect, "\\n" the one on lines."""
    return separator.join(f"### {NAMES[message['role']]}: {message['content']}" for message in messages)


def llama2_text(messages: list[Message]) -> str:
    system, rest = ("", messages)
    if messages[0]["role"] == "system":
        system, rest = f"<<SYS>>\n{messages[0]['content']}\n<</SYS>>\n\n", messages[1:]
    pairs = [(rest[i]["content"], rest[i + 1]["content"]) for i in range(0, len(rest), 2)]
    return "".join(
        f"<s>[INST] {system if index == 0 else ''}{question} [/INST] {answer} </s>"
        for index, (question, answer) in enumerate(pairs)
    )


def chatml_text(messages: list[Message]) -> str:
    return "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)


def vicuna_text(messages: list[Message], separator: str) -> str:
    """The system prompt is a preface; every answer ends with </s>."""
    parts = {"system": "{}" + separator, "user": "USER: {}" + separator, "assistant": "ASSISTANT: {}</s>"}
    return "".join(parts[message["role"]].format(message["content"]) for message in messages)


def sharegpt_turns(messages: list[Message]) -> list[dict[str, str]]:
    return [{"from": SHAREGPT_NAMES[message["role"]], "value": message["content"]} for message in messages]

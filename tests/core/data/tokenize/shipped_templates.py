"""The chat templates that TRL ships, what training makes of conversations under each, and what TRL itself would train.

`python -m tests.core.data.tokenize.shipped_templates` prints the table of docs/chat-templates.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import trl

from core.data.dataset import Message, Tools
from core.data.tokenize.chat_template import ChatTemplate, TemplateRefused, detect_style
from core.data.tokenize.encode import Encoded, encode
from core.data.tokenize.end_of_turn import find_end_of_turn
from core.models.base import load_tokenizer, resolve
from tests.core.data.rows import trained_runs

FOLDER = Path(trl.__file__).parent / "chat_templates"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja") if not path.stem.endswith("_training"))
SPECIAL = re.compile(r"<[|｜][^<>\s]*?[|｜]>|</?[a-z_]+>|\[/?INST\]|<\|[^<> ]+>|<[^<> ]+\|>")
END_OF_TEXT = "<|endoftext|>"


def user(content: str) -> Message:
    return Message(role="user", content=content)


def said(content: str, **more: Any) -> Message:
    message: dict[str, Any] = {"role": "assistant", "content": content, **more}
    return cast(Message, message)


CALL = {"type": "function", "id": "call00001", "function": {"name": "weather", "arguments": {"city": "Bern"}}}
RESULT = Message(role="tool", content="12 C", tool_call_id="call00001", name="weather")
CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "Where"}}, "required": ["city"]}
TOOLS: Tools = [{"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": CITY}}]
ASKED = [user("Weather?"), said("", tool_calls=[CALL]), RESULT, said("It is cool."), user("Thanks"), said("Welcome.")]
TALKS: dict[str, tuple[list[Message], Tools | None]] = {
    "plain": ([user("Where?"), said("In Havana.")], None),
    "system": ([Message(role="system", content="Be brief."), user("Where?"), said("In Havana.")], None),
    "turns": ([user("Where?"), said("In Havana."), user("Since when?"), said("1519.")], None),
    "tools": (ASKED, TOOLS),
    "reasoning": (
        [
            user("Where?"),
            said("In Havana.", reasoning_content="Cuba, so"),
            user("Since when?"),
            said("1519.", reasoning_content="Founded in"),
        ],
        None,
    ),
    "white space": ([user(" a\n"), said("\n\n b 🦙\n\n"), user("\n"), said("  c"), user("d"), said("\te ")], None),
}


@dataclass(frozen=True)
class Trl:
    """How TRL's runs of trained tokens differ: `before` and `after` are trained in addition (`last` behind the last
    answer), `ours` and `our_end` by us alone."""

    why: str = ""
    before: str = ""
    after: str = ""
    last: str = ""
    ours: str = ""
    our_end: str = ""

    def of(self, runs: list[str]) -> list[str]:
        """TRL's runs from ours."""
        theirs = [self.before + run.removeprefix(self.ours).removesuffix(self.our_end) + self.after for run in runs]
        return [*theirs[:-1], theirs[-1] + self.last]


BREAK = "the line break behind the end"
LINE = Trl(BREAK, after="\n")
SAME = Trl("the same")
ROLE = "the role's mark, which the prompt holds"
OPENED = "what the prompt opens"
DIFFERENCES = {
    "deepseek": Trl(
        f"{ROLE}; not the end of the block that the prompt opens", before="<｜Assistant｜>", ours="\n</think>\n\n"
    ),
    "gptoss": Trl(f"{ROLE}; of earlier answers the end that they have in history", before="<|start|>assistant"),
    "muse": Trl(ROLE, before="<|start|>assistant"),
    "nemotron": Trl(f"{OPENED}; {BREAK}", before="<think>", after="\n"),
    "qwen3_5_nothink": Trl(f"{OPENED}; {BREAK}", before="<think>\n\n</think>\n\n", after="\n"),
    "qwen3_5_think": Trl(f"{OPENED}; {BREAK}", before="<think>\n", after="\n"),
    "qwen3_6": Trl(f"{OPENED}; {BREAK}", before="<think>\n", after="\n"),
    "qwen3_8": Trl(f"{OPENED}; {BREAK}", before="<think>\n", after="\n"),
    "qwen2_5_vl": LINE,
    "qwen2_5": Trl(f"the line break at the end of the prompt; {BREAK}", before="\n", after="\n"),
    "qwen3": LINE,
    "phi3": Trl(f"{BREAK}, and the end of the conversation", after="\n", last=END_OF_TEXT),
    "glm4moe": Trl("the next speaker's mark in place of the end", after="<|user|>", our_end=END_OF_TEXT),
    "cohere": SAME,
    "llama3": SAME,
    "llava": SAME,
}


def difference(name: str) -> Trl | None:
    """None where TRL has no training version."""
    if trl_template(name) is None:
        return None
    found = [key for key in DIFFERENCES if name.startswith(key)]
    return DIFFERENCES[max(found, key=len)] if found else LINE


@cache
def template(name: str) -> str:
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


@cache
def trl_template(name: str) -> str | None:
    """With {% generation %} around what TRL trains."""
    path = FOLDER / f"{name}_training.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8")
    return template(name) if re.search(r"{%-? generation", template(name)) else None


@cache
def tokenizer_of(name: str) -> Any:
    """The built-in base's, with what looks like a special token in the template, and an end of text of its own."""
    tokenizer = load_tokenizer(resolve("builtin"))
    tokenizer.add_tokens(sorted(set(SPECIAL.findall(template(name)))), special_tokens=True)
    tokenizer.add_special_tokens({"eos_token": END_OF_TEXT})
    tokenizer.chat_template = template(name)
    return tokenizer


@cache
def encoded(name: str, talk: str) -> Encoded | TemplateRefused:
    messages, tools = TALKS[talk]
    try:
        return encode(tokenizer_of(name), messages, tools)
    except TemplateRefused as refusal:
        return refusal


def runs(name: str, talk: str) -> list[str] | None:
    """What is trained, answer by answer; None where the template refuses the talk."""
    found = encoded(name, talk)
    if isinstance(found, TemplateRefused):
        return None
    return [run for row in found.examples for run in trained_runs(tokenizer_of(name), row)]


def table() -> str:
    head = ["Template", "System", "Tools", "Reasoning", "The prompt opens", "An answer ends with", "Rows", "TRL trains"]
    lines = [head, ["---"] * len(head), *(row_of(name) for name in NAMES)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def row_of(name: str) -> list[str]:
    tokenizer, trl_differs = tokenizer_of(name), difference(name)
    return [
        name,
        "before the first question" if detect_style(tokenizer).folds else "yes",
        "yes" if runs(name, "tools") else "no",
        reasoning_in_words(name),
        opened_in_words(name),
        end_in_words(name),
        rows_in_words(name),
        "–" if trl_differs is None else trl_differs.why,
    ]


def reasoning_in_words(name: str) -> str:
    found = encoded(name, "reasoning")
    assert isinstance(found, Encoded)
    if found.dropped:
        thinking = [user("Weather?"), said("", tool_calls=[CALL], reasoning_content="To look up")]
        try:
            beside_calls = encode(tokenizer_of(name), thinking, TOOLS)
        except TemplateRefused:
            return "no"
        return "no" if beside_calls.dropped else "beside calls only"
    last = tokenizer_of(name).decode(found.examples[-1]["input_ids"])
    return "yes, of earlier answers too" if len(found.examples) == 1 or "Cuba, so" in last else "yes, of the newest"


def opened_in_words(name: str) -> str:
    prompt = ChatTemplate.of(tokenizer_of(name)).render([user("Where?")], prompt=True)
    opened = re.search(r"<think>\s*(</think>)?\s*\Z", prompt)
    return code("".join(opened.group().split())) if opened else ""


def end_in_words(name: str) -> str:
    ending = find_end_of_turn(tokenizer_of(name))
    if not ending.written:
        return "the end of text, put there"
    marks = SPECIAL.findall(ending.written)
    others = sorted(ending.stops - {END_OF_TEXT, *marks})
    return " ".join(map(code, marks)) + (f"; calls with {' '.join(map(code, others))}" if others else "")


def rows_in_words(name: str) -> str:
    plain, thought = encoded(name, "turns"), encoded(name, "reasoning")
    assert isinstance(plain, Encoded) and isinstance(thought, Encoded)
    if len(plain.examples) > 1:
        return "one per answer"
    return "one" if len(thought.examples) == 1 else "one; one per answer with reasoning"


def code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


if __name__ == "__main__":
    print(table())

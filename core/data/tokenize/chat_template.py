"""A base's chat template at work: conversations to text, in training and in chat alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from adapters.common.errors import UserError
from core.data.dataset import Message, Tools

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Stand for what must show in a rendering. Words of ASCII without white space: no template trims or escapes them.
QUESTION, ANSWER, SYSTEM, REASONING = "qzquestion{}zq", "qzanswer{}zq", "qzsystemzq", "qzreasoningzq"
CALL, RESULT, TOOL = "qzcall{}zq", "qzresult{}zq", "qztool{}zq"

Found = TypeVar("Found")


class TemplateRefused(UserError):
    """The template does not take these messages; `reason` is its own, or what it would leave out."""

    def __init__(self, reason: str, message: str = "", remedy: str = "Change the row, or the base.") -> None:
        super().__init__(message or f"The base's chat template refuses this conversation: {reason}.", remedy)
        self.reason = reason


def per_template(find: Callable[[PreTrainedTokenizerBase], Found]) -> Callable[[PreTrainedTokenizerBase], Found]:
    """Remember what `find` learns of a tokenizer and its chat template, for as long as both are in use."""
    known: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[Any, Found]] = WeakKeyDictionary()

    @wraps(find)
    def remembered(tokenizer: PreTrainedTokenizerBase) -> Found:
        entry, now = known.get(tokenizer), (tokenizer.chat_template, tokenizer.eos_token)
        if entry is None or entry[0] != now:
            entry = known[tokenizer] = (now, find(tokenizer))
        return entry[1]

    return remembered


@dataclass(frozen=True)
class TemplateStyle:
    """How a template wants to be given a conversation.

    parts: each content as a list of parts (those of models that also see images). folds: it has no place for a system
    message, which goes before the first question then, as the makers advise (Gemma, early Mistral).
    """

    parts: bool = False
    folds: bool = False


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's chat template, with the tools that a conversation's assistant may call."""

    tokenizer: PreTrainedTokenizerBase
    tools: Tools | None = None
    manner: TemplateStyle = TemplateStyle()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, tools: Tools | None = None) -> ChatTemplate:
        return cls(tokenizer, tools, detect_style(tokenizer))

    def render(self, messages: list[Message], *, prompt: bool = False, **arguments: Any) -> str:
        """The text, with what opens the next answer where `prompt` is true. `arguments`: the template's own.

        Raises Refused where the template fails on the messages, in whatever way: it is a program, and may divide by 0.
        """
        if self.manner.folds and [message["role"] for message in messages[:2]] == ["system", "user"]:
            messages = fold_system(messages)
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [self._dressed(message) for message in messages],
                    tools=self.tools,
                    tokenize=False,
                    **({"add_generation_prompt": prompt} | arguments),
                )
            )
        except Exception as error:
            raise TemplateRefused(f"{error}" if str(error) else type(error).__name__) from error

    def _dressed(self, message: Message) -> dict[str, Any]:
        dressed: dict[str, Any] = {key: value for key, value in message.items() if key not in ("weight", "untrained")}
        if self.manner.parts:
            dressed["content"] = [{"type": "text", "text": message["content"]}]
        return dressed

    def check_tools(self, messages: list[Message]) -> None:
        """Raises Refused where a call, a result or a tool's description would be left out.

        Rendered with words of our own for what concerns tools, of which each must show.
        """
        probe, tools, words = with_probe_words(messages, self.tools)
        if not words:
            return
        text = replace(self, tools=tools).render(probe)
        if missing := [what for word, what in words.items() if word not in text]:
            raise TemplateRefused(
                f"{missing[0]} is left out",
                f"The base's chat template leaves out {missing[0]}.",
                "Choose a base whose template knows tools (Qwen 2.5 or Llama 3.1, say), or leave such rows out.",
            )


@per_template
def detect_style(tokenizer: PreTrainedTokenizerBase) -> TemplateStyle:
    """Found by giving the template words of our own, and looking which of them show."""
    talk = [Message(role="user", content=QUESTION.format(0)), Message(role="assistant", content=ANSWER.format(0))]

    def shows(manner: TemplateStyle, messages: list[Message]) -> bool:
        try:
            text = ChatTemplate(tokenizer, None, manner).render(messages)
        except TemplateRefused:
            return False
        return all(message["content"] in text for message in messages)

    manner = TemplateStyle(parts=not shows(TemplateStyle(), talk) and shows(TemplateStyle(parts=True), talk))
    with_system = [Message(role="system", content=SYSTEM), *talk]
    folds = not shows(manner, with_system) and shows(manner, fold_system(with_system))
    return replace(manner, folds=folds)


def common_prefix_length(first: str, second: str) -> int:
    """How many characters both begin with."""
    differ = (at for at, (character, other) in enumerate(zip(first, second, strict=False)) if character != other)
    return next(differ, min(len(first), len(second)))


def with_probe_words(
    messages: list[Message], tools: Tools | None
) -> tuple[list[Message], Tools | None, dict[str, str]]:
    """Messages and tools with words of our own in the place of names and results, and what each word stands for."""
    words: dict[str, str] = {}
    probe: list[Message] = []
    for index, message in enumerate(messages, start=1):
        copy: Message = json.loads(json.dumps(message))
        for call in copy.get("tool_calls", []):
            word = CALL.format(len(words))
            words[word] = f"the call of {call['function']['name']} in message {index}"
            call["function"]["name"] = word
        if copy["role"] == "tool" and copy["content"].strip():
            copy["content"] = RESULT.format(len(words))
            words[copy["content"]] = f"the tool's answer in message {index}"
        probe.append(copy)
    copies: Tools | None = json.loads(json.dumps(tools))
    for tool in copies or []:
        function = tool["function"]
        word = TOOL.format(len(words))
        words[word] = f"the description of the tool {function.get('name')}"
        function["name"] = word
    return probe, copies, words


def fold_system(messages: list[Message]) -> list[Message]:
    """The system message put before the first question."""
    system, question, *rest = messages
    return [Message(role="user", content=f"{system['content']}\n\n{question['content']}"), *rest]

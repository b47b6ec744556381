"""A base's chat template at work: conversations to text, and a refusal where it would leave something out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.data.records import Message, Tools
from core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Stand for what must show in the text. ASCII, since some templates write JSON with escapes.
CALL, RESULT, TOOL = "qzcall{}zq", "qzresult{}zq", "qztool{}zq"


@dataclass(frozen=True)
class Template:
    """A tokenizer's chat template, with the tools that a conversation's assistant may call."""

    tokenizer: PreTrainedTokenizerBase
    tools: Tools | None = None

    def render(self, messages: list[Message], *, prompt: bool = False) -> str:
        """Raises jinja2's TemplateError where the template refuses the messages."""
        text: str = self.tokenizer.apply_chat_template(
            messages, tools=self.tools, tokenize=False, add_generation_prompt=prompt
        )
        return text

    def render_whole(self, messages: list[Message]) -> tuple[str, list[Message]]:
        """The rendered text, and the messages as rendered: the system message folded in where it has no place.

        Some templates raise on a system message, others leave it out without a word; and most know no tools. Raises
        UserError where the template refuses the conversation or would leave a part of it out.
        """
        from jinja2 import TemplateError

        has_system = bool(messages) and messages[0]["role"] == "system"
        text = None
        try:
            text = self.render(messages)
        except TemplateError as error:
            if not has_system:
                raise refused(error) from error
        if text is None or (has_system and messages[0]["content"].strip() not in text):
            messages = fold_system(messages)
            try:
                text = self.render(messages)
            except TemplateError as error:
                raise refused(error) from error
        self._check_tools(messages)
        return text, messages

    def _check_tools(self, messages: list[Message]) -> None:
        """Render once more with words of our own for what concerns tools: each of them must show."""
        from jinja2 import TemplateError

        probe, tools, words = marked(messages, self.tools)
        if not words:
            return
        try:
            text = Template(self.tokenizer, tools).render(probe)
        except TemplateError as error:
            raise refused(error) from error
        if missing := [what for word, what in words.items() if word not in text]:
            raise UserError(
                f"The base's chat template leaves out {missing[0]}.",
                "Choose a base whose template knows tools (Qwen 2.5 or Llama 3.1, say), or leave such rows out.",
            )


def marked(messages: list[Message], tools: Tools | None) -> tuple[list[Message], Tools | None, dict[str, str]]:
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


def refused(error: Exception) -> UserError:
    return UserError(f"The base's chat template refuses this conversation: {error}.", "Change the row, or the base.")


def fold_system(messages: list[Any]) -> list[Message]:
    """The system message put before the first question. The engine's plain dictionaries are taken too."""
    system, question, *rest = messages
    return [Message(role="user", content=f"{system['content']}\n\n{question['content']}"), *rest]

"""One conversation of a dataset as the messages of a gr.Chatbot."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from core.data import CheckedDataset
from studio.answers.history import content_parts
from studio.engine.tokenizer_process import TokenizerProcess
from studio.html.templating import render

TITLES = {"system": "System prompt", "text": "Plain text", "tool": "Tool's answer"}  # by the role of a message


def chat_messages(dataset: CheckedDataset, number: int) -> list[dict[str, Any]]:
    """Conversation `number` (from 1): what is neither asked nor answered shows as a message with a title."""
    if not 1 <= number <= len(dataset.conversations):
        return []
    conversation = dataset.conversations[number - 1]
    messages: list[dict[str, Any]] = []

    def add_titled(title: str, content: str) -> None:
        messages.append({"role": "assistant", "content": content_parts(content), "metadata": {"title": title}})

    if conversation.tools:
        add_titled("Tools", json_block(conversation.tools))
    for message in conversation.messages:
        if reasoning := message.get("reasoning_content"):
            add_titled("Reasoning", reasoning)
        if title := TITLES.get(message["role"]):
            add_titled(title, message["content"])
        elif message.get("weight") == 0:
            add_titled("Not trained (weight 0)", message["content"])
        elif message["content"] or not message.get("tool_calls"):
            messages.append({"role": message["role"], "content": content_parts(message["content"])})
        for call in message.get("tool_calls", []):
            add_titled(f"Calls {call['function']['name']}", json_block(call["function"]["arguments"]))
    return messages


def json_block(value: Any) -> str:
    """A fenced block of Markdown."""
    return f"```json\n{json.dumps(value, ensure_ascii=False, indent=1)}\n```"


def render_starting(tokenizer: TokenizerProcess) -> Markup:
    started = "" if tokenizer.running else ", which takes some seconds to start"
    return render("data/note.html", text=f"Asking the tokenizer of {tokenizer.name}{started} …")

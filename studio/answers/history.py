"""A column's history as Gradio's chatbot holds it, and what can be done to its turns. No argument is ever changed.

A turn is a question and the answers after it. An answer remembers which model gave it, as the engine reported it, in
its metadata (`log`, which the chatbot leaves alone on messages without a title).
"""

from __future__ import annotations

from typing import Any

from studio.engine.client import Message
from studio.ui.markdown_depth import fence_if_too_deep, unfence

History = list[dict[str, Any]]


def text_of(content: Any) -> str:
    """The text of a chatbot message: Gradio gives its content as text or as a list of typed parts."""
    if isinstance(content, str):
        return unfence(content)
    if isinstance(content, dict):
        return unfence(str(content.get("text", "")))
    return "".join(text_of(part) for part in content or [])


def content_parts(text: str) -> list[dict[str, str]]:
    """A message's content in the form that Gradio leaves alone.

    In a plain str Gradio removes the indentation that all lines but the first share, and makes blanks of tabs: code
    would be shown, sent back and kept as an example otherwise than it was written.
    """
    return [{"type": "text", "text": fence_if_too_deep(text)}]


def add_question(history: History | None, text: str) -> History:
    return [*(history or []), {"role": "user", "content": content_parts(text)}]


def add_answer(history: History, text: str, model: str = "") -> History:
    answer: dict[str, Any] = {"role": "assistant", "content": content_parts(text)}
    return [*history, answer | {"metadata": {"log": model}} if model else answer]


def model_of(message: dict[str, Any]) -> str:
    """The model that gave this answer, or "" when that is not known."""
    return str((message.get("metadata") or {}).get("log") or "")


def to_messages(history: History | None, system: str | None) -> list[Message]:
    """The chatbot's history as OpenAI messages. A turn that never got an answer (stopped, failed) is left out."""
    messages: list[Message] = [{"role": "system", "content": system.strip()}] if system and system.strip() else []
    for message in history or []:
        content = text_of(message["content"])
        if message["role"] == "user":
            if messages and messages[-1]["role"] == "user":
                messages.pop()
            messages.append({"role": "user", "content": content})
        elif content:
            messages.append({"role": "assistant", "content": content})
    return messages


def last_question_index(history: History | None) -> int | None:
    """The index of the last question, or None when there is none."""
    return next((i for i in reversed(range(len(history or []))) if (history or [])[i]["role"] == "user"), None)


def before_last_question(history: History | None) -> History:
    index = last_question_index(history)
    return list(history or [])[:index] if index is not None else []


def up_to_question(history: History, index: int) -> History:
    """Everything up to the question that message `index` is, or answers, that question included."""
    question = last_question_index(history[: index + 1])
    return history[: question + 1] if question is not None else []


def remove_turn(history: History, index: int) -> History:
    """The history without the turn that message `index` belongs to."""
    first = last_question_index(history[: index + 1]) or 0
    after = next((i for i in range(first + 1, len(history)) if history[i]["role"] == "user"), len(history))
    return history[:first] + history[after:]


def edit_message(history: History, index: int, text: str) -> tuple[History, bool]:
    """The history with another text in message `index`, and whether that message now waits for an answer.

    A changed question removes what came after it. A changed answer stays where it is. An empty text removes the whole
    turn.
    """
    if not text.strip():
        return remove_turn(history, index), False
    changed = {**history[index], "content": content_parts(unfence(text))}
    if history[index]["role"] == "user":
        return [*history[:index], changed], True
    return [*history[:index], changed, *history[index + 1 :]], False

"""A conversation with one column, and its parts."""

from __future__ import annotations

from studio.answers.history import History, content_parts
from studio.chat.conversations import ColumnRecord, Conversation

TALK: History = [
    {"role": "user", "content": content_parts("What is the capital of Cuba?")},
    {"role": "assistant", "content": content_parts("Havana 🦜"), "metadata": {"log": "guanaco-builtin"}},
]
SETTINGS = {"system": "Be brief.", "temperature": 0.0, "top_p": 0.95, "max_tokens": 256, "seed": None}


def new_conversation(*columns: ColumnRecord, saved_id: str = "") -> Conversation:
    return Conversation.new(columns or (ColumnRecord.of("base", TALK),), SETTINGS, saved_id)

"""The list of saved conversations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from studio.chat.conversation_stores import ConversationStore
from studio.chat.conversations import Conversation
from studio.chat.conversations_panel import MAX_QUERY
from studio.html.templating import render

MAX_LISTED = 50


@dataclass(frozen=True)
class Row:
    """One conversation as the list shows it."""

    id: str
    title: str
    models: str
    updated: str
    is_current: bool

    @classmethod
    def of(cls, conversation: Conversation, current_id: str | None) -> Row:
        models = ", ".join(dict.fromkeys(column.model for column in conversation.columns))
        updated = local_time(conversation.updated)
        return cls(conversation.id, conversation.title, models, updated, conversation.id == current_id)


def render_conversations(store: ConversationStore, query: str | None, current_id: str | None) -> Markup:
    """The newest conversations that have all words of `query`."""
    conversations = store.all()
    found = [conversation for conversation in conversations if conversation.has((query or "")[:MAX_QUERY])]
    return render(
        "chat/conversations.html",
        damaged=store.count_damaged(),
        has_some=bool(conversations),
        rows=[Row.of(conversation, current_id) for conversation in found[:MAX_LISTED]],
        older=max(0, len(found) - MAX_LISTED),
    )


def local_time(timestamp: str) -> str:
    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""

"""A conversation leaves as JSON and Markdown with everything that was said."""

from __future__ import annotations

import json

from studio.answers.history import History, content_parts
from studio.chat.conversations import ColumnRecord, Conversation

TALK: History = [
    {"role": "user", "content": content_parts("What is the capital of Cuba?")},
    {"role": "assistant", "content": content_parts("Havana 🦜"), "metadata": {"log": "guanaco-builtin"}},
]
SETTINGS = {"system": "Be brief.", "temperature": 0.0, "top_p": 0.95, "max_tokens": 256, "seed": None}


def made(*columns: ColumnRecord, saved_id: str = "") -> Conversation:
    return Conversation.new(columns or (ColumnRecord.of("base", TALK),), SETTINGS, saved_id)


def test_exports_hold_everything_that_was_said() -> None:
    other = ColumnRecord.of(
        "pirate", [TALK[0], {"role": "assistant", "content": "Arr!", "metadata": {"log": "pirate"}}]
    )
    talk = made(ColumnRecord.of("base", TALK), other)
    assert Conversation.from_dict(json.loads(talk.as_json())) == talk
    text = talk.as_markdown()
    assert text.splitlines()[:3] == ["# What is the capital of Cuba?", "", "> Be brief."]
    for part in ("## Column 2: pirate", "**You**", "**guanaco-builtin**\n\nHavana 🦜", "**pirate**\n\nArr!"):
        assert part in text

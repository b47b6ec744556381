"""A conversation leaves as JSON and Markdown with everything that was said."""

from __future__ import annotations

import json

from studio.chat.conversations import ColumnRecord, Conversation
from tests.studio.chat.saved_conversations import TALK, new_conversation


def test_exports_hold_everything_that_was_said() -> None:
    other = ColumnRecord.of(
        "pirate", [TALK[0], {"role": "assistant", "content": "Arr!", "metadata": {"log": "pirate"}}]
    )
    talk = new_conversation(ColumnRecord.of("base", TALK), other)
    assert Conversation.from_dict(json.loads(talk.as_json())) == talk
    text = talk.as_markdown()
    assert text.splitlines()[:3] == ["# What is the capital of Cuba?", "", "> Be brief."]
    for part in ("## Column 2: pirate", "**You**", "**guanaco-builtin**\n\nHavana 🦜", "**pirate**\n\nArr!"):
        assert part in text

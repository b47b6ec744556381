"""Conversations come back as they were, wherever they are saved."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.answers.history import model_of, text_of
from studio.chat.conversation_stores import (
    MAX_BROWSER_BYTES,
    BrowserStore,
    ConversationStore,
    DiskStore,
    find_conversation,
    save_conversation,
)
from studio.chat.conversations import ColumnRecord
from tests.studio.chat.saved_conversations import TALK, new_conversation


@pytest.fixture(params=["disk", "browser"])
def store(request: pytest.FixtureRequest, home: Home) -> ConversationStore:
    return DiskStore(home) if request.param == "disk" else BrowserStore(None)


def test_a_conversation_comes_back_as_it_was(store: ConversationStore) -> None:
    kept = save_conversation(store, new_conversation())
    assert store.all() == [kept]
    back = find_conversation(store, kept.id).columns[0].history()
    assert [text_of(message["content"]) for message in back] == ["What is the capital of Cuba?", "Havana 🦜"]
    assert model_of(back[1]) == "guanaco-builtin", "who answered is remembered"
    assert back == TALK


def test_going_on_keeps_one_record_and_its_name(store: ConversationStore) -> None:
    first = save_conversation(store, new_conversation())
    store.put(replace(first, name="Cuba"))
    column = ColumnRecord.of("base", [*TALK, {"role": "user", "content": "And now?"}])
    longer = save_conversation(store, new_conversation(column, saved_id=first.id))
    assert [saved.id for saved in store.all()] == [first.id]
    assert (longer.name, len(longer.columns[0].messages)) == ("Cuba", 3)


def test_it_is_found_by_what_was_said_and_gone_when_deleted(store: ConversationStore) -> None:
    kept = save_conversation(store, new_conversation())
    assert kept.title == "What is the capital of Cuba?"
    assert all(kept.has(words) for words in ("", "havana", "CAPITAL cuba"))
    assert not kept.has("havana madrid")
    store.delete(kept.id)
    assert store.all() == []
    with pytest.raises(UserError, match="not there any more"):
        find_conversation(store, kept.id)


def test_the_newest_come_first_and_a_broken_file_hides_no_other(home: Home) -> None:
    store = DiskStore(home)
    older, newer = replace(new_conversation(), updated="2026-01-01T00:00:00+00:00"), new_conversation()
    for conversation in (newer, older):
        store.put(conversation)
    (store.folder / "0123456789ab.json").write_text('{"id": "0123')
    assert [saved.id for saved in store.all()] == [newer.id, older.id]


def test_ids_from_a_browser_name_no_other_file(home: Home) -> None:
    (home.root / "precious.json").write_text("{}")
    store = DiskStore(home)
    store.delete("../precious")
    assert (home.root / "precious.json").exists()
    assert new_conversation(saved_id="../precious").id != "../precious"


@pytest.mark.parametrize(
    "kept",
    [
        "text",
        [1],
        [{"id": "x"}],
        [{**new_conversation().to_dict(), "id": "../x"}],
        [
            new_conversation().to_dict()
            | {"columns": [{"model": "base", "messages": [{"role": "tool", "content": "x"}]}]}
        ],
        [{**new_conversation().to_dict(), "settings": "no"}],
    ],
)
def test_what_a_browser_sends_is_not_trusted(kept: Any) -> None:
    assert BrowserStore(kept).all() == []


def test_a_full_browser_lets_the_oldest_go_and_counts_them() -> None:
    long = [{"role": "user", "content": "x" * (MAX_BROWSER_BYTES // 3)}]
    store = BrowserStore(None)
    ids = []
    for day in range(1, 5):
        ids.append(new_conversation().id)
        store.put(
            replace(
                new_conversation(ColumnRecord.of("base", long), saved_id=ids[-1]),
                updated=f"2026-01-0{day}T00:00:00+00:00",
            )
        )
    assert [saved.id for saved in store.all()] == [ids[3], ids[2]]
    assert store.dropped == 2
    assert len(json.dumps(store.records)) <= MAX_BROWSER_BYTES + 10

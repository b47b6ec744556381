"""Datasets as cards to choose from, with what they are like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from core.common.home import Home
from core.data import Conversation, store
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow
from core.data.samples import SAMPLES
from studio.context import Studio
from studio.train import dataset_cards
from studio.train.dataset_cards import render_dataset_cards


def test_cards_show_what_a_sample_is_like_and_which_is_chosen(quiet_studio: Studio) -> None:
    shown = render_dataset_cards(quiet_studio.home, "radio")
    assert "Over." in shown
    assert shown.count('aria-pressed="true"') == 1


def test_a_card_of_ones_own_data_shows_how_it_begins_as_it_was_read_the_last_time(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("Frage,Antwort\nWas ist <b>das</b>?,Ein Test.\n")
    kept = store.store_files(home, [file])
    assert "mine" in render_dataset_cards(home, None)
    assert "Ein Test" not in render_dataset_cards(home, None), "nobody has said which column is what"
    store.save_reading_choice(home, kept.dataset_name, "", "question=Frage,answer=Antwort")
    shown = render_dataset_cards(home, None)
    assert "Was ist &lt;b&gt;das&lt;/b&gt;?" in shown
    assert "Ein Test." in shown
    assert "Ein Test" not in render_dataset_cards(home, None, is_owner=False)
    kept.files[0].write_text("Frage,Antwort\nUnd nun?,Anderes.\n")
    assert "Anderes." in render_dataset_cards(home, None)


def test_a_sample_is_read_no_further_than_to_what_its_card_shows(
    quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def check(rows: Iterable[DatasetRow]) -> Iterator[Conversation]:
        for conversation in DatasetChecker(rows):
            read.append(conversation)
            yield conversation

    monkeypatch.setattr(dataset_cards, "DatasetChecker", check)
    dataset_cards.sample_exchange.cache_clear()
    render_dataset_cards(quiet_studio.home, None)
    assert len(SAMPLES) <= len(read) < 300

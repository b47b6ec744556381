"""Votes are kept whole, survive a crash, and become a preference dataset that TRL trains on."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.compare import votes
from studio.compare.votes import ALL_BAD, BETTER, TIE, Ballot, Candidate, Vote

PROMPT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of Cuba?"})
BALLOT = Ballot(
    (Candidate("base", PROMPT, "Havana."), Candidate("pirate", PROMPT, "Arr, Havana!\u2028🦜")),
    True,
    {"temperature": 0.7},
)


def test_votes_come_back_as_they_were_cast(home: Home) -> None:
    cast = [Vote.cast(BALLOT, BETTER, 1, "ada"), Vote.cast(BALLOT, TIE, None, "bob")]
    assert [votes.append(home, vote) for vote in cast] == [1, 2]
    assert votes.read(home) == cast
    assert votes.path(home).stat().st_mode & 0o077 == 0, "who said what is nobody else's business"


def test_a_torn_line_is_skipped_and_harms_no_later_vote(home: Home) -> None:
    votes.append(home, Vote.cast(BALLOT, BETTER, 0, "ada"))
    file = votes.path(home)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    assert votes.append(home, Vote.cast(BALLOT, BETTER, 1, "ada")) == 2
    assert [vote.winner for vote in votes.read(home)] == [0, 1]


def test_votes_at_the_same_time_are_all_kept(home: Home) -> None:
    def cast() -> None:
        for _ in range(10):
            votes.append(home, Vote.cast(BALLOT, TIE, None, "ada"))

    threads = [threading.Thread(target=cast) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(votes.read(home)) == 40


def test_one_model_against_itself_is_no_vote() -> None:
    same = replace(BALLOT, candidates=(BALLOT.candidates[0],) * 2)
    with pytest.raises(UserError, match="same model"):
        Vote.cast(same, TIE, None, "ada")


def test_only_comparable_pairs_become_preferences() -> None:
    other = replace(BALLOT.candidates[1], prompt=(*PROMPT, {"role": "user", "content": "And now?"}))
    three = replace(BALLOT, candidates=(*BALLOT.candidates, replace(other, model="radio")))
    cast = [Vote.cast(BALLOT, verdict, None, "ada") for verdict in (TIE, ALL_BAD)] + [
        Vote.cast(three, BETTER, 1, "ada")
    ]
    rows, left_out = votes.preferences(cast)
    assert rows == [
        {
            "prompt": list(PROMPT),
            "chosen": [{"role": "assistant", "content": "Arr, Havana!\u2028🦜"}],
            "rejected": [{"role": "assistant", "content": "Havana."}],
        }
    ]
    assert left_out == 1


def test_trl_loads_and_takes_the_export(tmp_path: Path) -> None:
    """`datasets` reads the file; TRL sees a conversational preference dataset and applies a chat template to it."""
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl.data_utils import is_conversational, maybe_apply_chat_template, maybe_extract_prompt

    from core.models.builtin import BASE_DIR

    rows, _ = votes.preferences([Vote.cast(BALLOT, BETTER, 1, "ada"), Vote.cast(BALLOT, BETTER, 0, "ada")])
    file = tmp_path / "preferences.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    dataset = load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(dataset) == 2
    assert is_conversational(dataset[0])
    assert maybe_extract_prompt(dataset[0])["prompt"] == list(PROMPT)
    made = maybe_apply_chat_template(dataset[0], AutoTokenizer.from_pretrained(BASE_DIR))
    assert "Capital of Cuba?" in made["prompt"]
    assert "Arr" in made["chosen"]
    assert "Arr" not in made["rejected"]

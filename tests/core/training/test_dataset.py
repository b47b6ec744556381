"""What a recipe says about its data is what is tokenised."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.base import load_tokenizer, resolve
from core.data import store
from core.home import Home
from core.recipe import Recipe
from core.training.dataset import prepare
from tests.hub_server.fixtures import Hub


def test_columns_and_a_sample_are_taken_from_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("frage,antwort\n" + "".join(f"q{index},a{index}\n" for index in range(50)))
    recipe = Recipe.from_dict(
        {"dataset_name": str(file), "dataset_columns": "question=frage,answer=antwort", "max_samples": 20}
    )
    prepared = prepare(recipe, load_tokenizer(resolve("builtin")))
    held_out = prepared.held_out_conversations
    assert len(prepared.train) + len(held_out) == 20
    assert held_out[0].messages[0]["content"].startswith("q")
    assert "Of 50 conversations 20 were drawn at random (max_samples)." in prepared.notes


def test_a_run_tells_which_rows_it_learns_from(home: Home, hub: Hub) -> None:
    rows = '{"text": "### Human: Hi ### Assistant: Hello"}\n' * 4
    card = "---\nlicense: mit\n---\n"
    commit = hub.make_repo("ada/poems", {"train.jsonl": rows.encode(), "README.md": card.encode()}, kind="dataset")
    kept = store.keep_from_hub(home, "ada/poems")
    prepared = prepare(Recipe.from_dict({"dataset_name": kept.dataset_name}), load_tokenizer(resolve("builtin")))
    sha256 = hashlib.sha256(rows.encode()).hexdigest()
    where = f"ada/poems (hub, revision {commit}, licence mit, SHA-256 {sha256})"
    assert prepared.notes[0] == f"Learning from 4 conversations of {where}."

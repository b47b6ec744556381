"""What a recipe says about its data is what is tokenised."""

from __future__ import annotations

from pathlib import Path

from core.base import load_tokenizer, resolve
from core.recipe import Recipe
from core.training.dataset import prepare


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

"""A plan knows every row that is trained, also where a conversation becomes several."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from core.data import Conversation
from core.recipes.recipe import Recipe
from studio.train.lengths import DatasetLengths


class EachAnswerIsARow:
    """Counts as the tokenizer's process does on a base that rewrites history: the n-th answer's row has 10 n tokens."""

    def count(self, conversations: list[Conversation]) -> list[list[tuple[int, int, int]] | None]:
        answers = [sum(message["role"] == "assistant" for message in talk.messages) for talk in conversations]
        return [[(10 * number, 5, 5) for number in range(1, count + 1)] for count in answers]


def test_all_rows_of_as_many_conversations_as_the_recipe_uses_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    turn = '{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}'
    file.write_text("".join(f'{{"messages": [{", ".join([turn] * count)}]}}\n' for count in (1, 3, 2)))
    lengths = DatasetLengths(cast(Any, SimpleNamespace(tokenizer=EachAnswerIsARow())))
    recipe = Recipe.from_dict({"dataset_name": str(file)})
    assert lengths.known(recipe) is None
    assert lengths.count(recipe) == [10, 10, 20, 30, 10, 20]
    assert lengths.known(Recipe.from_dict({"dataset_name": str(file), "max_samples": 2})) == [10, 10, 20, 30]

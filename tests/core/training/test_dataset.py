"""What a recipe says about its data is what is tokenised."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from core.common.home import Home
from core.data import store
from core.models.base import load_tokenizer, resolve
from core.recipes.recipe import Recipe
from core.training.dataset import prepare_data
from core.training.sample_answers import choose_prompts
from tests.hub_server.fixtures import Hub


def test_columns_and_a_sample_are_taken_from_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("frage,antwort\n" + "".join(f"q{index},a{index}\n" for index in range(50)))
    recipe = Recipe.from_dict(
        {"dataset_name": str(file), "dataset_columns": "question=frage,answer=antwort", "max_samples": 20}
    )
    prepared = prepare_data(recipe, load_tokenizer(resolve("builtin")))
    held_out = prepared.held_out_conversations
    assert len(prepared.train) + len(held_out) == 20
    assert held_out[0].messages[0]["content"].startswith("q")
    assert "Of 50 conversations 20 were drawn at random (max_samples)." in prepared.notes


def test_a_run_tells_which_rows_it_learns_from(home: Home, hub: Hub) -> None:
    rows = '{"text": "### Human: Hi ### Assistant: Hello"}\n' * 4
    card = "---\nlicense: mit\n---\n"
    commit = hub.make_repo("ada/poems", {"train.jsonl": rows.encode(), "README.md": card.encode()}, kind="dataset")
    kept = store.store_from_hub(home, "ada/poems")
    prepared = prepare_data(Recipe.from_dict({"dataset_name": kept.dataset_name}), load_tokenizer(resolve("builtin")))
    sha256 = hashlib.sha256(rows.encode()).hexdigest()
    where = f"ada/poems (hub, revision {commit}, licence mit, SHA-256 {sha256})"
    assert prepared.notes[0] == f"Learning from 4 conversations of {where}."


# Earlier answers are written otherwise than the newest: it alone has the block.
REWRITES = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}"
    "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def talks(folder: Path, count: int) -> Path:
    file = folder / "talks.jsonl"
    turns = [
        [{"role": role, "content": f"{role} {number} {turn}"} for turn in (1, 2) for role in ("user", "assistant")]
        for number in range(count)
    ]
    turns[0][1]["reasoning_content"] = "Hm."
    file.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in turns))
    return file


@pytest.mark.parametrize("packing", [False, True])
def test_a_conversation_of_several_rows_is_whole_on_one_side_of_the_split(tmp_path: Path, packing: bool) -> None:
    tokenizer = load_tokenizer(resolve("builtin"))
    tokenizer.chat_template = REWRITES
    recipe = Recipe.from_dict(
        {"dataset_name": str(talks(tmp_path, 20)), "eval_fraction": 0.2, "max_length": 128, "packing": packing}
    )
    prepared = prepare_data(recipe, tokenizer)
    assert prepared.held_out is not None
    train, held_out = (tokenizer.batch_decode(list(half["input_ids"])) for half in (prepared.train, prepared.held_out))
    held = {conversation.messages[0]["content"] for conversation in prepared.held_out_conversations}
    assert len(held) == 4
    for number in range(20):
        question = f"<|user|>user {number} 1<|end|>"
        sides = [sum(text.count(question) for text in half) for half in (train, held_out)]
        assert sides == ([0, 2] if f"user {number} 1" in held else [2, 0])  # once in each of its two rows
    told = " ".join(prepared.notes)
    assert "20 conversations become 40 rows, each an answer after the history that chat would send." in told
    assert "reasoning) is left out in 1 of 20 conversations" in told
    assert not packing or "Packed 32 training rows into" in told


def test_plain_text_leaves_no_question_for_samples_and_that_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f'{{"text": "The llama number {index} grazes."}}\n' for index in range(20)))
    recipe = Recipe.from_dict({"dataset_name": str(file), "eval_fraction": 0.2})
    prepared = prepare_data(recipe, load_tokenizer(resolve("builtin")))
    assert prepared.held_out_conversations and choose_prompts(recipe, prepared.held_out_conversations) == []

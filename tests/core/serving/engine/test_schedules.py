"""Whatever joins, leaves, is cancelled or installed beside it: a row says what PEFT says for it alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from transformers import PreTrainedModel

from core.models.base import load_model
from tests.core.serving import tiny
from tests.core.serving.running import Reader, Running, greedy

pytestmark = pytest.mark.slow

NEW = 10
PROMPTS = [[1, 3, 80, 81], [1, 3, 90, 91], list(range(30, 51))]
# Ranks, targets and scalings of the eight adapters.
ADAPTERS: list[dict[str, Any]] = [
    {"r": 1},
    {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj", "v_proj"]},
    {"r": 4, "use_rslora": True},
    {"r": 8, "target_modules": ["gate_proj", "up_proj", "down_proj"]},
    {"r": 16, "lora_alpha": 8},
    {"r": 5, "rank_pattern": {"q_proj": 9, r"layers\.1\.mlp\.up_proj": 3}, "alpha_pattern": {"q_proj": 20}},
    {"r": 24, "target_modules": ["o_proj"]},
    {"r": 6, "layers_to_transform": [1], "target_modules": ["q_proj", "down_proj", "o_proj"]},
]

Expected = dict[tuple[str | None, int], list[int]]


def references(model: PreTrainedModel, folders: list[Path]) -> Expected:
    """transformers' greedy tokens for the base, and PEFT's for each adapter alone."""
    found: Expected = {(None, i): greedy(model, prompt, NEW) for i, prompt in enumerate(PROMPTS)}
    peft = PeftModel.from_pretrained(model, folders[0], adapter_name=folders[0].name).eval()
    for folder in folders:
        if folder.name not in peft.peft_config:
            peft.load_adapter(folder, adapter_name=folder.name)
        peft.set_adapter(folder.name)
        found |= {(folder.name, i): greedy(peft, prompt, NEW) for i, prompt in enumerate(PROMPTS)}
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.base_folder(tmp_path_factory.mktemp("tiny") / "base", num_hidden_layers=2)


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("adapters")
    model = load_model(tiny.source(base), load_in_4bit=False)
    return [tiny.adapter(root / f"a{i}", model, seed=i + 1, **lora) for i, lora in enumerate(ADAPTERS)]


@pytest.fixture(scope="module")
def expected(base: Path, folders: list[Path]) -> Callable[[bool], Expected]:
    @cache
    def of(four_bit: bool) -> Expected:
        return references(load_model(tiny.source(base), load_in_4bit=four_bit), folders)

    return of


@pytest.mark.parametrize("weights", ["fp32", "nf4", "nf4-packed"])
def test_any_schedule_gives_pefts_tokens(
    weights: str, base: Path, folders: list[Path], expected: Callable[[bool], Expected]
) -> None:
    tokens = expected(weights != "fp32")
    assert len({tuple(each) for (_, prompt), each in tokens.items() if prompt == 0}) == len(ADAPTERS) + 1
    model = load_model(tiny.source(base), load_in_4bit=weights != "fp32")
    kept = "packed" if weights == "nf4-packed" else "exact"
    with Running(model, slots=4, max_rows=6, prefill_chunk=8, kv_tokens=1024, max_waiting=400, weights=kept) as running:
        adapters = {folder.name: running.read(folder) for folder in folders}
        for seed in range(3):
            chance = random.Random(seed)
            asked: list[tuple[str | None, int, int, bool, Reader]] = []
            for _ in range(60):
                action = chance.choices(
                    ["ask", "cancel", "install", "retire", "replace", "wait"], [60, 12, 8, 5, 5, 10]
                )[0]
                name = chance.choice([folder.name for folder in folders])
                if action == "ask":
                    prompt, length = chance.randrange(len(PROMPTS)), chance.randint(1, NEW)
                    who = chance.choice([None, name])
                    reader = running.ask(
                        PROMPTS[prompt],
                        adapters[who] if who else None,
                        max_tokens=length,
                        client=str(chance.randrange(3)),
                    )
                    asked.append((who, prompt, length, False, reader))
                elif action == "cancel" and asked:
                    i = chance.randrange(len(asked))
                    asked[i] = (*asked[i][:3], True, asked[i][4])
                    running.engine.cancel([asked[i][4].sequence])
                elif action == "install":
                    running.engine.install(adapters[name])
                elif action == "retire":
                    running.engine.retire(adapters[name])
                elif action == "replace":  # the same adapter read anew; sequences under way keep the old object
                    old, adapters[name] = adapters[name], running.read(adapters[name].folder)
                    running.engine.retire(old)
                elif action == "wait" and asked:
                    asked[-1][4].begun()
            for who, prompt, length, cancelled, reader in asked:
                wanted = tokens[who, prompt][:length]
                if cancelled:
                    assert reader.tokens == wanted[: len(reader.tokens)], (seed, who, prompt)
                else:
                    assert (reader.error, reader.tokens) == (None, wanted), (seed, who, prompt)
        assert running.between_steps(lambda: [slot.users for slot in running.engine.slots.slots]) == [0] * 4
        assert running.engine.slots.installs > 4  # adapters were pushed out and came back

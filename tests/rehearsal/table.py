"""Planned and simulated memory, as the table in docs/planner.md: `python -m tests.rehearsal.table`, with all layers."""

from __future__ import annotations

from typing import Any

from tests.rehearsal.plan import MIB, Compared, compare

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("t4", "llama-2-7b", {}),
    ("t4", "llama-2-7b", {"max_length": 512, "lora_r": 128}),
    ("t4", "llama-2-7b", {"max_length": 2048, "per_device_train_batch_size": 2}),
    ("t4", "llama-2-7b", {"gradient_checkpointing": False}),
    ("t4", "llama-3.1-8b", {}),
    ("t4", "qwen2.5-1.5b", {}),
    ("a100-40", "llama-3.1-8b", {"max_length": 2048}),
    ("a100-40", "llama-2-7b", {"load_in_4bit": False}),
]


def row(found: Compared) -> str:
    settings = ", ".join(f"`{name}: {value}`" for name, value in found.recipe.items())
    assert found.gaps is not None and found.expandable is not None
    numbers = [found.simulated, found.planned, found.gaps, found.expandable, found.gaps_planned]
    first, second, *gaps = (f"{number / MIB:,.0f}" for number in numbers)
    cells = [found.shape, found.card, settings, first, second, f"{found.ratio:.3f}", *gaps]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    print("| Base | Card | Recipe | Simulated, MiB | Planned | Ratio | Gaps | expandable | planned |")
    print("|---|---|---|--:|--:|--:|--:|--:|--:|")
    for case in CASES:
        print(row(compare([case], whole=True)[0]), flush=True)


if __name__ == "__main__":
    main()

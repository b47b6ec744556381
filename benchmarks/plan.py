"""The plan's memory against a real training's, on the CPU: resident memory of a process that trains the built-in base.

    python -m benchmarks.plan

One process per case trains three steps on random tokens with the studio's own trainer. Predicted are all parts that the
plan counts for the training; measured is the process's peak resident memory (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from core.planner import TRAINING, Gpu, plan_run
from core.recipes.recipe import Recipe

STEPS = 3
CASES: list[dict[str, Any]] = [
    {"per_device_train_batch_size": 8, "max_length": 512},
    {"per_device_train_batch_size": 16, "max_length": 512},
    {"per_device_train_batch_size": 8, "max_length": 512, "gradient_checkpointing": True},
    {"per_device_train_batch_size": 32, "max_length": 512, "gradient_checkpointing": True},
    {"per_device_train_batch_size": 4, "max_length": 1024},
    {"per_device_train_batch_size": 8, "max_length": 512, "lora_dropout": 0.1},
    {"per_device_train_batch_size": 8, "max_length": 512, "lora_r": 64},
]


def recipe_of(case: dict[str, Any]) -> Recipe:
    fixed = {"dataset_name": "random tokens", "eval_fraction": 0.0, "max_steps": STEPS, "save_steps": 1000}
    return Recipe.from_dict(fixed | case)


def measured(case: dict[str, Any]) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.plan", "--case", json.dumps(case)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


def train(case: dict[str, Any]) -> None:
    """The child: trains, then tells its memory before and at the peak."""
    import torch

    torch.set_num_threads(1)
    from datasets import Dataset

    from core.models.base import load_model, load_tokenizer, resolve
    from core.models.device import choose_dtype
    from core.training.trainer import build_trainer

    recipe = recipe_of(case)
    source = resolve("builtin")
    model = load_model(source, device="cpu")
    before = resident("VmRSS")
    rows = torch.randint(6, 1500, (4 * recipe.per_device_train_batch_size, recipe.max_length)).tolist()
    for row in rows[:: recipe.per_device_train_batch_size]:
        del row[-2:]  # so that there is padding, and with it a mask
    with tempfile.TemporaryDirectory() as folder:
        built = build_trainer(
            recipe,
            model=model,
            tokenizer=load_tokenizer(source),
            source=source,
            train=Dataset.from_list([{"input_ids": row, "labels": row} for row in rows]),
            held_out=None,
            folder=Path(folder),
            dtype=choose_dtype("cpu"),
        )
        built.train()
    print(json.dumps({"before": before, "peak": resident("VmHWM")}))


def resident(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "micro-batch", "settings", "predicted", "measured", "ratio", "beyond loading: predicted", "measured", "ratio"
    )
    for case in CASES:
        planned = plan_run(recipe_of(case), Gpu.find("cpu"), chat=None)
        parts = {part.name: part.bytes for part in planned.parts if part.owner == TRAINING}
        total = sum(parts.values())
        growth = total - parts["Process"] - parts["Base weights"] - parts["Embeddings and head"]
        seen = measured(case)
        grown = seen["peak"] - seen["before"]
        extra = {
            name: value for name, value in case.items() if name not in ("per_device_train_batch_size", "max_length")
        }
        table.add_row(
            f"{case['per_device_train_batch_size']} x {case['max_length']}",
            ", ".join(f"{name} {value}" for name, value in extra.items()),
            *(f"{total >> 20} MiB", f"{seen['peak'] >> 20} MiB", f"{total / seen['peak']:.2f}"),
            *(f"{growth >> 20} MiB", f"{grown >> 20} MiB", f"{growth / grown:.2f}"),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=json.loads)
    given = parser.parse_args()
    train(given.case) if given.case else main()

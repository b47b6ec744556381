"""LLaMA-Factory as a peer in training: the same recipe in its words, on the same base and conversations."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import yaml

from benchmarks.peers.places import LLAMA_FACTORY
from core.data import read_dataset
from core.models.base import resolve
from core.recipes.recipe import Recipe

DATASET = "conversations"
FORMAT = {
    "file_name": f"{DATASET}.jsonl",
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    },
}


def start(recipe: Recipe, folder: Path) -> subprocess.Popen[bytes]:
    """Train in a process of its own; its files and its log are in `folder`."""
    base, data = folder / "base", folder / "data"
    in_fp32(Path(resolve(recipe.model_name_or_path).location), base)
    data.mkdir()
    (data / "dataset_info.json").write_text(json.dumps({DATASET: FORMAT}))
    with (data / f"{DATASET}.jsonl").open("w") as file:
        for conversation in read_dataset(recipe.dataset_name).conversations:
            file.write(json.dumps({"messages": conversation.messages}) + "\n")
    (folder / "llama-factory.yaml").write_text(yaml.safe_dump(config(recipe, base, data, folder / "out")))
    command = [str(LLAMA_FACTORY / "bin" / "llamafactory-cli"), "train", str(folder / "llama-factory.yaml")]
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": ""})


def config(recipe: Recipe, base: Path, data: Path, out: Path) -> dict[str, object]:
    return {
        "model_name_or_path": str(base),
        "template": "smollm2",
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": recipe.lora_r,
        "lora_alpha": recipe.lora_alpha,
        "lora_target": "all",
        "dataset": DATASET,
        "dataset_dir": str(data),
        "cutoff_len": recipe.max_length,
        "per_device_train_batch_size": recipe.per_device_train_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "learning_rate": recipe.learning_rate,
        "max_steps": recipe.max_steps,
        "disable_gradient_checkpointing": True,
        "include_num_input_tokens_seen": "non_padding",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "output_dir": str(out),
        "use_cpu": True,
    }


def in_fp32(base: Path, folder: Path) -> None:
    """A folder that says of the same weights that they are to be computed with in fp32.

    LLaMA-Factory computes in the type that the base's folder names; fp16 is several times slower on a CPU.
    """
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((base / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float32"}))


def steps(folder: Path) -> dict[int, int]:
    """Step -> real tokens seen by its end, of the steps that are done."""
    path = folder / "out" / "trainer_log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {line["current_steps"]: line["total_tokens"] for line in lines if "total_tokens" in line}

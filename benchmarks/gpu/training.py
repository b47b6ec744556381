"""Training at Llama-2-7B's shape on a GPU: speed and memory. NOT RUN ON A GPU YET: only --dry-run was, on a CPU.

    python -m benchmarks.gpu.training [--dtype float16] [--cap-gib 15] [--lengths 512 1024 2048] [--steps 12]

A base of Llama-2-7B's shape with random weights, quantised layer by layer; rank 16 on all linear layers, one row per
micro-batch, 8-bit AdamW, gradient checkpointing; torch may take no more than the cap, as on a 16 GB card. For each
length two ways, each in a process of its own, by turns:

    plain    TRL's SFTTrainer with PEFT, as their documentation has it; the adapter cast to fp32, as fp16 needs it
    studio   the studio's own trainer

One JSON line per case: tokens per second from the third step on, seconds from the start of training to the end of its
first step, and of the memory what the plan predicts (without context and fragmentation), what torch had allocated and
reserved at the peak, and predicted / allocated.

--dry-run does it once with two small layers on the CPU: it shows that this program works, and measures nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import SHAPES, SMALL, predicted, random_base, recipe_of
from core.models.device import Choice
from core.planner import Gpu
from core.planner.model_shape import shape_of
from core.recipes.recipe import Recipe

WAYS = ("plain", "studio")
WARM = 2  # steps that are not counted
ROWS = 8


def child(case: dict[str, Any]) -> None:
    """Train one case and print what it took."""
    import torch
    from datasets import Dataset
    from transformers import AutoConfig, TrainerCallback

    on_gpu = case["device"] == "cuda"
    if on_gpu:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, case["cap_gib"] * 2**30 / total))
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **others: Any) -> None:
            if on_gpu:
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    config = SMALL if case["small"] else SHAPES["llama-2-7b"]
    model = random_base(AutoConfig.for_model(**config), case["dtype"], case["device"])
    full = {"rows": 1, "length": case["length"], "checkpointing": True}
    recipe = recipe_of(full | {"optim": "adamw_8bit" if on_gpu else "adamw_torch"})
    recipe.max_steps = case["steps"]
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(6, 1500, (ROWS, case["length"]), generator=generator).tolist()
    dataset = Dataset.from_list([{"input_ids": row, "labels": row} for row in rows])
    with tempfile.TemporaryDirectory() as folder:
        make = plain if case["way"] == "plain" else studio
        trainer = make(recipe, model, dataset, Path(folder), case["dtype"])
        trainer.add_callback(Clock())
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        trainer.train()
    result: dict[str, Any] = {
        "tokens_per_second": round(case["length"] * (len(ends) - WARM) / (ends[-1] - ends[WARM - 1]), 1),
        "first_step": round(ends[0] - began, 2),
        "predicted": predicted(recipe, shape_of(dict(config), "random"), Gpu.find(None), no_flash=False),
    }
    if on_gpu:
        result |= {
            "allocated": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
            "ratio": round(result["predicted"] / torch.cuda.max_memory_allocated(), 4),
        }
    print(json.dumps(result))


def studio(recipe: Recipe, model: Any, dataset: Any, folder: Path, dtype: str) -> Any:
    from core.models.base import BaseSource, load_tokenizer, resolve
    from core.training.trainer import build_trainer

    return build_trainer(
        recipe,
        model=model,
        tokenizer=load_tokenizer(resolve("builtin")),
        source=BaseSource("random", "random", local=True),
        train=dataset,
        held_out=None,
        folder=folder,
        dtype=Choice(dtype, "as asked for"),
    )


def plain(recipe: Recipe, model: Any, dataset: Any, folder: Path, dtype: str) -> Any:
    import torch
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from core.models.base import load_tokenizer, resolve

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=recipe.max_steps,
            per_device_train_batch_size=1,
            learning_rate=recipe.learning_rate,
            optim=recipe.optim,
            gradient_checkpointing=True,
            max_length=recipe.max_length,
            fp16=dtype == "float16",
            bf16=dtype == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            logging_steps=1,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=dataset,
        processing_class=load_tokenizer(resolve("builtin")),
        peft_config=LoraConfig(
            r=recipe.lora_r, lora_alpha=recipe.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return trainer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--cap-gib", type=float, default=15.0)
    parser.add_argument("--lengths", nargs="+", type=int, default=[512, 1024, 2048])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--dry-run", action="store_true", help="small, on the CPU")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        child(given.case)
        return 0
    fixed = {"dtype": given.dtype, "cap_gib": given.cap_gib, "steps": given.steps, "small": False, "device": "cuda"}
    if given.dry_run:
        given.lengths = [64]
        fixed |= {"dtype": "float32", "steps": 4, "small": True, "device": "cpu"}
    failed = 0
    for length, way in itertools.product(given.lengths, WAYS):
        case = {"way": way, "length": length} | fixed
        command = [sys.executable, "-m", "benchmarks.gpu.training", "--case", json.dumps(case)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failed += done.returncode != 0
        told = done.stderr.strip().splitlines()[-1:] if done.returncode else json.loads(done.stdout.splitlines()[-1])
        print(json.dumps({"way": way, "length": length, "dtype": case["dtype"], "result": told}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Training: the studio's worker against a plain TRL + PEFT + bitsandbytes script, same base, data, batch and rank.

Nine ways by turns, each a process of its own, on the bundled sample `pirate` or --data:
  before      the worker of another working tree of the project (--against FOLDER), with the threads that it chooses
  documented  the script as the libraries' documentation has it: SFTConfig's defaults, bf16 and gradient checkpointing
  plain       the same script told what suits a CPU: fp32, no gradient checkpointing
  studio      core.training.worker with the default recipe, which also evaluates nothing here and answers no samples
  shared      the same beside an engine that nobody asks anything, whose base it maps instead of loading one
  all cores   as studio, with the threads that a run has while nobody chats, whatever --threads says
  padded      as studio, with packing: false, so that the rows of a micro-batch are padded
  packed      as studio, with packing: true, in rows of max_length, one row per micro-batch
  llama-factory  LLaMA-Factory with what suits a CPU, as plain, on the base's unquantised weights: it writes none out.
              Only with a --base that it has a template for, and where `make bench-peers` has made its environment
Tokens are real ones (no padding), counted from the end of the second step to the end of the last; CPU seconds are those
of the process, which say more than the clock on a busy machine. Time to first step is from the process's start. Peak
memory is the process's own view (VmHWM), in which mapped pages count in full, however many processes share them.

    python -m benchmarks.training [--rounds 3] [--steps 30] [--threads 1] [--ways plain studio shared packed]
    python -m benchmarks.training --base ./.peers/smollm2 --threads 2 --ways plain studio packed llama-factory
    python -m benchmarks.training --base FOLDER --data FILE --batch 2 --against FOLDER --ways before "all cores"
        [--gradient-checkpointing]
    python -m benchmarks.training --against FOLDER --ways before "all cores" --busy-cores 1

--busy-cores: so many other programs compute all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.common.servers import engine, found_anywhere, running
from benchmarks.peers import llama_factory, places
from core.common.home import Home
from core.models.base import BUILTIN, resolve
from core.recipes.dataset import read_recipe_dataset
from core.recipes.recipe import Recipe
from core.training.events import Note, Progress
from core.training.launcher import THREADS_VARIABLE, start_worker
from core.training.run import Run, create_run, find_run

RECIPE = {"dataset_name": "pirate", "eval_fraction": 0, "sample_prompts": [], "save_steps": 100_000}
RECIPE |= {
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "max_length": 512,
}
LLAMA_FACTORY, BEFORE, SCRIPTS = "llama-factory", "before", ("documented", "plain")
WORKERS = ("studio", "shared", "all cores", "padded", "packed")
WAYS = (*SCRIPTS, *WORKERS, LLAMA_FACTORY, BEFORE)
STARTING = """
import sys
from pathlib import Path
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.launcher import start_worker
from core.training.run import Run, create_run, find_run
run = create_run(Home.open(Path(sys.argv[1])), Recipe.read(Path(sys.argv[2])))
worker = start_worker(run)
print(run.id, worker.pid, flush=True)
worker.wait()
"""  # in another working tree


@dataclass(frozen=True)
class Measured:
    """Seconds, tokens per second, and bytes at the peak (VmHWM)."""

    first_step: float
    first_step_cpu: float
    tokens_per_second: float
    tokens_per_cpu_second: float
    peak: int


def measure(way: str, recipe: Recipe, folder: Path, against: Path | None) -> Measured:
    home, steps, base = Home.open(folder / "home"), recipe.max_steps, recipe.model_name_or_path
    if way == "packed":
        recipe = replace(recipe, packing=True, per_device_train_batch_size=1)
    if way == "padded":
        recipe = replace(recipe, packing=False)
    if way in WORKERS:
        with running(engine(home.root, "--base", base)) if way == "shared" else nullcontext():
            run, began = create_run(home, recipe), time.monotonic()
            with unlimited() if way == "all cores" else nullcontext():
                process = start_worker(run)
            measured = watch(psutil.Process(process.pid), lambda: worker_steps(run.events()[0]), steps, began)
        mapped = any(isinstance(event, Note) and "found in the cache" in event.text for event in run.events()[0])
        assert mapped == (way == "shared"), "the base was not where this way has it"
        return measured
    began = time.monotonic()
    if way == BEFORE:
        assert against is not None
        run, pid = start_other_worker(against, home, recipe, folder)
        return watch(psutil.Process(pid), lambda: worker_steps(run.events()[0]), steps, began)
    if way == LLAMA_FACTORY:
        process = llama_factory.start(recipe, folder)
        return watch(psutil.Process(process.pid), lambda: llama_factory.steps(folder), steps, began)
    (folder / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    script = [sys.executable, "-m", "benchmarks.training", "--script", way, "--folder", str(folder)]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(script, stdout=log, stderr=subprocess.STDOUT)
    return watch(psutil.Process(process.pid), lambda: script_steps(folder / "steps.jsonl"), steps, began)


def start_other_worker(tree: Path, home: Home, recipe: Recipe, folder: Path) -> tuple[Run, int]:
    """A run whose worker, of which the process id is given too, is that of another working tree of the project."""
    path = folder / "recipe.yaml"
    given = {name: value for name, value in recipe.to_dict().items() if value is not None}  # each tree has its defaults
    path.write_text(yaml.safe_dump(given))
    with unlimited():
        environment = os.environ | {"PYTHONPATH": str(tree.resolve())}
        command = [sys.executable, "-P", "-c", STARTING, str(home.root), str(path)]
        starter = subprocess.Popen(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    run_id, pid = starter.stdout.readline().split()
    return find_run(home, run_id), int(pid)


@contextmanager
def unlimited() -> Iterator[None]:
    """What is started meanwhile chooses its threads by itself."""
    limits = {name: os.environ.pop(name) for name in (THREADS_VARIABLE, "OMP_NUM_THREADS")}
    yield
    os.environ |= limits


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Meanwhile so many other programs compute."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def worker_steps(events: list[Any]) -> dict[int, int]:
    return {event.step: event.tokens for event in events if isinstance(event, Progress)}


def script_steps(path: Path) -> dict[int, int]:
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(json.loads(line) for line in lines)


def watch(process: psutil.Process, done: Callable[[], dict[int, int]], steps: int, began: float) -> Measured:
    """Look on as a process goes through its steps; `done` gives the tokens seen by the end of each."""
    marks: dict[int, tuple[float, float]] = {}
    peak = 0
    while steps not in marks:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise RuntimeError("the process ended before its last step; see its log")
        used = process.cpu_times()
        peak = max(peak, high_water(process.pid))
        for step in done():
            marks.setdefault(step, (time.monotonic(), used.user + used.system))
        time.sleep(0.02)
    tokens = done()
    (start, start_cpu), (end, end_cpu) = marks[2], marks[steps]
    process.wait(timeout=600)
    return Measured(
        marks[1][0] - began,
        marks[1][1],
        (tokens[steps] - tokens[2]) / (end - start),
        (tokens[steps] - tokens[2]) / (end_cpu - start_cpu),
        peak,
    )


def high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def script(way: str, folder: Path) -> None:
    """What one writes by following the documentation of TRL, PEFT and bitsandbytes."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(int(os.environ[THREADS_VARIABLE]))
    recipe = Recipe.from_dict(json.loads((folder / "recipe.json").read_text()))
    tuned = way == "plain"

    class Steps(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "loss" in logs:
                with (folder / "steps.jsonl").open("a") as file:
                    file.write(json.dumps([state.global_step, int(logs["num_tokens"])]) + "\n")

    rows = [{"messages": conversation.messages} for conversation in read_recipe_dataset(recipe).conversations]
    trainer = SFTTrainer(
        model=resolve(recipe.model_name_or_path).location,
        args=SFTConfig(
            output_dir=str(folder / "out"),
            max_steps=recipe.max_steps,
            learning_rate=recipe.learning_rate,
            per_device_train_batch_size=recipe.per_device_train_batch_size,
            max_length=recipe.max_length,
            assistant_only_loss=recipe.model_name_or_path == BUILTIN,  # TRL has no training template for SmolLM2's
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            **({"bf16": False, "gradient_checkpointing": False} if tuned else {}),
        ),
        train_dataset=Dataset.from_list(rows),
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32 if tuned else torch.bfloat16,
        ),
        peft_config=LoraConfig(
            r=recipe.lora_r, lora_alpha=recipe.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Steps()],
    )
    trainer.train()


def table(measured: dict[str, list[Measured]]) -> Iterator[str]:
    yield "| | tokens per CPU second | tokens/s | to first step, CPU | to first step | peak memory |"
    yield "|---|---|---|---|---|---|"
    for way, rounds in measured.items():
        middle = {
            name: statistics.median(getattr(result, name) for result in rounds)
            for name in Measured.__dataclass_fields__
        }
        yield (
            f"| {way} | {middle['tokens_per_cpu_second']:,.0f} | {middle['tokens_per_second']:,.0f} "
            f"| {middle['first_step_cpu']:.1f} s | {middle['first_step']:.1f} s | {middle['peak'] / 2**20:,.0f} MiB |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base", type=found_anywhere, default=BUILTIN, help="builtin or a folder")
    parser.add_argument(
        "--data", type=found_anywhere, default=RECIPE["dataset_name"], help="the dataset, cut at 512 tokens a row"
    )
    parser.add_argument("--batch", type=int, default=RECIPE["per_device_train_batch_size"], help="rows in a step")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="as the default recipe asks for")
    parser.add_argument("--busy-cores", type=int, default=0, help="which other programs have all the time")
    parser.add_argument("--against", type=Path, help="another working tree of the project, for the way `before`")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*SCRIPTS, *WORKERS])
    parser.add_argument("--script", choices=SCRIPTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.script:
        script(args.script, args.folder)
        return
    if LLAMA_FACTORY in args.ways and (why := places.missing(places.LLAMA_FACTORY)):
        print(f"{LLAMA_FACTORY} is left out: {why}")
        args.ways = [way for way in args.ways if way != LLAMA_FACTORY]
    if BEFORE in args.ways and not args.against:
        parser.error(f"the way {BEFORE} needs --against FOLDER")
    settings = {"max_steps": args.steps, "model_name_or_path": args.base, "dataset_name": args.data}
    settings |= {"per_device_train_batch_size": args.batch, "skip_bad_rows": True}
    settings["gradient_checkpointing"] = args.gradient_checkpointing
    recipe = Recipe.from_dict(RECIPE | settings)
    os.environ |= {THREADS_VARIABLE: str(args.threads), "OMP_NUM_THREADS": str(args.threads)}
    os.environ["HF_HUB_OFFLINE"] = "1"
    measured: dict[str, list[Measured]] = {way: [] for way in args.ways}
    for number in range(args.rounds):
        for way in args.ways:
            with tempfile.TemporaryDirectory() as folder, busy_cores(args.busy_cores):
                measured[way].append(measure(way, recipe, Path(folder), args.against))
            print(f"round {number + 1}: {way}: {measured[way][-1]}", file=sys.stderr, flush=True)
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()

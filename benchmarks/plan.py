"""The plan's memory against what engine and trainer really take, on the CPU.

    python -m benchmarks.plan [--base builtin FOLDER …] [--cases 0 1 …]

For each case the engine is started with a cache of 4,096 tokens and asked until that is full; then a run trains some
steps on long conversations, in its own process as the studio starts it. Predicted is what `plan_run` says with what the
engine tells, but for adapter slots, since none is asked for. Measured is what the two would have if nobody else were on
the machine, at the moment when it is most: what each has for itself, and what they map of files (libraries, the base)
once, as the trainer's. That is their proportional memory (PSS), which other programs with the same libraries would make
smaller. A peak between two looks is added by the trainer's own high-water mark.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.common.servers import RunningServer, end_on_sigterm, engine, found_anywhere, running
from core.common.home import Home
from core.planner import CHAT, Chat, Gpu, plan_run
from core.recipes.recipe import Recipe
from core.serving.running_engine import ask_engine_memory
from core.serving.settings import settings_in_force
from core.training.launcher import start_worker
from core.training.run import create_run
from core.training.state import AT_REST

TOKENS, PROMPT = 4096, 400
LOOK_SECONDS = 0.1
CASES: list[dict[str, Any]] = [
    {"per_device_train_batch_size": 4, "max_length": 256},
    {"per_device_train_batch_size": 2, "max_length": 512, "lora_r": 64},
    {"per_device_train_batch_size": 8, "max_length": 512},
    {"per_device_train_batch_size": 4, "max_length": 1024},
]


@dataclass(frozen=True)
class Memory:
    """Bytes of one process. private: its own. files: what it has of each mapped piece of a file. peak: of all, ever."""

    private: int
    files: dict[tuple[str, str], int]
    peak: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        """Raises OSError when there is no such program, or not yet."""
        private, files = 0, Counter[tuple[str, str]]()
        for text in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text(), flags=re.MULTILINE):
            figures = {name: 1024 * int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
            if figures:
                _, _, offset, _, _, *path = text.partition("\n")[0].split(maxsplit=5)
                private += figures["Anonymous"]
                files[" ".join(path), offset] += figures["Rss"] - figures["Anonymous"]
        peak = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if not files or peak is None:
            raise ProcessLookupError(pid)
        return cls(private, files, 1024 * int(peak[1]))

    @property
    def rss(self) -> int:
        return self.private + sum(self.files.values())

    def beyond(self, other: Memory) -> int:
        """What it has that `other` has not."""
        return self.private + sum(max(0, size - other.files.get(piece, 0)) for piece, size in self.files.items())


def long_conversations(path: Path, words: int) -> Path:
    row = json.dumps({"text": f"### Human: Go on.### Assistant: {'arr ' * words}"})
    path.write_text(f"{row}\n" * 64, encoding="utf-8")
    return path


def fill(server: RunningServer) -> None:
    """Ask different prompts until the cache has been full."""
    for number in range(2 * TOKENS // PROMPT):
        prompt = [[100 + (number * 7 + place) % 400 for place in range(PROMPT)]]
        body = {"model": "base", "prompt": prompt, "max_tokens": 2}
        httpx.post(f"{server.url}/v1/completions", json=body, timeout=300, trust_env=False).raise_for_status()


def measure(base: str, case: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Predicted and measured bytes, of the engine and of the trainer."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home.open(Path(folder) / "home")
        data = long_conversations(Path(folder) / "data.jsonl", words=2 * case["max_length"])
        fixed = {"model_name_or_path": base, "dataset_name": str(data), "max_steps": 3, "warmup_steps": 0}
        fixed |= {"eval_fraction": 0.0, "gradient_accumulation_steps": 1, "save_steps": 1000, "sample_prompts": []}
        recipe = Recipe.from_dict(fixed | case)
        options = ("--base", base, "--kv-tokens", str(TOKENS))
        with running(engine(home.root, *options)):  # makes the weights file, whose making leaves memory behind
            pass
        with running(engine(home.root, *options)) as server:
            fill(server)
            chat = Chat(settings_in_force(home), engine=ask_engine_memory(home))
            parts = plan_run(recipe, Gpu.find("cpu"), chat=chat).parts
            run = create_run(home, recipe)
            worker = start_worker(run)
            most = last = (0, 0, 0)
            while run.state() not in AT_REST and worker.poll() is None:
                with suppress(OSError):  # it has just begun, or ended
                    trainer, beside = Memory.of(worker.pid), Memory.of(server.pid)
                    last = (beside.beyond(trainer), trainer.rss, trainer.peak)
                    most = max(most, last, key=lambda look: look[0] + look[1])
                time.sleep(LOOK_SECONDS)
            worker.wait()
    predicted = {
        "engine": sum(part.bytes for part in parts if part.owner == CHAT and part.name != "Chat: adapter slots"),
        "trainer": sum(part.bytes for part in parts if part.owner != CHAT),
    }
    return predicted, {"engine": most[0], "trainer": max(most[1], last[2])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", nargs="+", default=["builtin"])
    parser.add_argument("--cases", nargs="+", type=int, default=list(range(len(CASES))))
    given = parser.parse_args()
    end_on_sigterm()
    os.environ |= {"STUDIO_TORCH_THREADS": "2", "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    print("| base | micro-batch | engine: predicted | measured | trainer: predicted | measured | both: ratio |")
    print("|:--|:--|--:|--:|--:|--:|--:|")
    for base in map(found_anywhere, given.base):
        for case in (CASES[number] for number in given.cases):
            predicted, measured = measure(base, case)
            cells = [f"{each[who] >> 20} MiB" for who in predicted for each in (predicted, measured)]
            what = f"{case['per_device_train_batch_size']} x {case['max_length']}, rank {case.get('lora_r', 16)}"
            ratio = sum(predicted.values()) / sum(measured.values())
            print(f"| {Path(base).name} | {what} | {' | '.join(cells)} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()

"""Mapping the quantised base against loading and quantising it: time to first logits, memory of two processes.

Both ways by turns in one run, each time in a process that has just been forked from one that has only done the imports,
the files in the page cache; medians. Seconds are wall clock and CPU; the latter says more on a busy machine. Memory is
what two processes that have calculated once hold together beyond their imports, each page counted once (Linux only).

    python -m benchmarks.shared_base [--rounds 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers.models.llama.modeling_llama  # so that no measurement has to import it
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.integrations import bitsandbytes  # noqa: F401

from core.common.home import Home
from core.models.base import load_model, resolve
from core.models.shared_weights import tensors as shared_tensors  # noqa: F401
from core.models.shared_weights.shared_base import open_base

LOADED, MAPPED = "loaded", "mapped"
LLAMA = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12}
FORK = multiprocessing.get_context("fork")


class Forked:
    """A process that does `work` when told to and says what came of it. It lives until the block ends."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._pipe, other = FORK.Pipe()
        self._process = FORK.Process(target=self._run, args=(work, other), daemon=True)
        self._process.start()

    @staticmethod
    def _run(work: Callable[[], Any], pipe: Connection) -> None:
        pipe.recv()
        made = work()
        pipe.send(made[0])
        pipe.recv()  # keep what was made

    def go(self) -> Any:
        self._pipe.send("go")
        return self._pipe.recv()

    def pss(self) -> int:
        return int(psutil.Process(self._process.pid).memory_full_info().pss)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.join()


def opening(way: str, base: str, home: Home, threads: int) -> Callable[[], Any]:
    """Opens the base, calculates once, returns the measurements and what must be kept alive."""

    def work() -> Any:
        torch.set_num_threads(threads)
        wall, cpu = time.perf_counter(), time.process_time()
        if way == MAPPED:
            opened = open_base(resolve(base), home)
            model, reason = opened.model, opened.how.reason
        else:
            model, reason = load_model(resolve(base)), ""
        with torch.no_grad():
            model(input_ids=torch.arange(8)[None])
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "reason": reason}, model

    return work


def measure(title: str, base: str, home: Home, rounds: int, threads: int) -> None:
    with Forked(opening(MAPPED, base, home, threads)) as process:
        made = process.go()
    assert "made now" in made["reason"], made["reason"]
    results: dict[str, list[dict[str, Any]]] = {LOADED: [], MAPPED: []}
    for _ in range(rounds):
        for way, found in results.items():
            with Forked(opening(way, base, home, threads)) as process:
                found.append(process.go())
    assert all("found in the cache" in result["reason"] for result in results[MAPPED])
    (weights,) = home.cache.glob("*.arena")
    print(
        f"\n{title}; its weights file: {weights.stat().st_size / 2**20:.1f} MiB; {rounds} rounds, {threads} thread(s)"
    )
    print(f"{'':24}{'wall':>10}{'CPU':>10}{'two processes':>18}")
    for way, found in results.items():
        wall, cpu = (statistics.median(result[clock] for result in found) for clock in ("wall", "cpu"))
        memory = together(opening(way, base, home, threads))
        print(f"{way:24}{wall:>8.2f} s{cpu:>8.2f} s{memory / 2**20:>14.0f} MiB")
    print(f"{'made (once), then mapped':24}{made['wall']:>8.2f} s{made['cpu']:>8.2f} s", flush=True)


def together(work: Callable[[], Any]) -> int:
    """Bytes that two processes hold beyond their imports once both have the base."""
    with Forked(work) as one, Forked(work) as other:
        before = one.pss() + other.pss()
        one.go()
        other.go()
        return one.pss() + other.pss() - before


def random_llama(folder: Path) -> tuple[str, None]:
    """About 100 million random parameters in fp16."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**LLAMA, vocab_size=16_000, tie_word_embeddings=True)).half().save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve("builtin").location).save_pretrained(folder)
    return str(folder), None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    transformers.logging.disable_progress_bar()
    gc.collect()
    gc.freeze()  # else a collection in a forked process copies pages that only the imports filled
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure("Built-in base", "builtin", Home.open(folder / "first"), given.rounds, given.threads)
        with Forked(lambda: random_llama(folder / "llama")) as process:
            llama = process.go()
        measure("Random Llama, 97 M parameters", llama, Home.open(folder / "second"), given.rounds, given.threads)


if __name__ == "__main__":
    main()

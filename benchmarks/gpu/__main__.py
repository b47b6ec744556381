"""All that is to be measured on a CUDA card, in at most 8 minutes: `make bench-gpu`. It writes docs/benchmarks/gpu.md.

    python -m benchmarks.gpu [--dry-run] [--page FILE]

The plan against real steps, training beside TRL's plain script, one copy of the base for two processes, and the
engine's decode steps: in fp16, and with no more than 15 GiB, as on a T4. What matters most comes first; each part is a
process of its own that ends when its time is up, and what it has printed by then stands on the page. A part that fails
is told with its last words, and the others go on. --dry-run does all of it small on the CPU, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.common.servers import ROOT

PAGE = ROOT / "docs" / "benchmarks" / "gpu.md"
LONGEST = 480  # seconds for everything
HEAD = """\
# On a GPU

    make bench-gpu

{device}. fp16, and torch may have no more than 15 GiB, as on a 16 GB card;
weights are random, shapes are those of the bases named. All of it took {minutes:.1f} minutes.
"""


@dataclass(frozen=True)
class Part:
    """One of the benchmarks in this folder. seconds: how long it may take. about: what its columns say."""

    module: str
    title: str
    options: str
    seconds: int
    about: str


PARTS = (
    Part(
        "plan",
        "The plan against real steps",
        "--dtype float16 --limit-gib 15 --shapes llama-2-7b qwen2.5-1.5b --lengths 1024 --rows 1",
        130,
        "Bytes. predicted: the plan without context and fragmentation; allocated, reserved: torch's own peaks; device: "
        "in use on the whole card; ratio: predicted / allocated, which is to lie between 0.95 and 1.05.",
    ),
    Part(
        "training",
        "Training beside TRL's plain script",
        "--dtype float16 --lengths 512 1024 --steps 8",
        140,
        "Llama-2-7B's shape, one row per micro-batch, rank 16 on all linear layers. Memory in bytes.",
    ),
    Part(
        "shared_base",
        "One copy of the base for chat and training",
        "--dtype float16 --steps 6",
        110,
        "device_mib: in use on the whole card. The last trainer has a copy of its own, for comparison.",
    ),
    Part(
        "engine",
        "Decode steps",
        "--dtype float16 --rows 1 8 16",
        100,
        "Milliseconds per step, eagerly and with CUDA graphs, beside the time that its bytes take at this card's copy "
        "bandwidth.",
    ),
)


def run(part: Part, *, seconds: float, dry: bool) -> tuple[str, str]:
    """What it printed, and why it ended early; "" where it did not."""
    options = ["--dry-run"] if dry else part.options.split()
    command = [sys.executable, "-m", f"benchmarks.gpu.{part.module}", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        printed, complaints = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.communicate()[0], f"its {seconds:.0f} seconds were over"
    said = complaints.strip().splitlines() or [f"exit code {process.returncode}"]
    return printed, said[-1] if process.returncode else ""


def section(part: Part, printed: str, problem: str) -> Iterator[str]:
    yield f"\n## {part.title}\n"
    yield f"    python -m benchmarks.gpu.{part.module} {part.options}\n"
    yield f"{part.about}\n"
    rows = list(rows_in(printed))
    yield from as_table(rows) if rows else printed.strip().splitlines()
    if problem:
        yield f"\nIt did not come to its end: {problem}."


def rows_in(printed: str) -> Iterator[dict[str, Any]]:
    """The JSON objects among the lines, what is nested in them beside the rest."""
    for line in printed.splitlines():
        try:
            row = json.loads(line[line.index("{") :])
        except ValueError:
            continue
        inner = row.pop("result", {})
        yield row | (inner if isinstance(inner, dict) else {"failed": " ".join(inner)})


def as_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield f"| {' | '.join(columns)} |"
    yield "|:--" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(_told(row.get(name, '')) for name in columns)} |"


def _told(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "/")


def device() -> str:
    """The card by its name, and the versions that were used."""
    import torch

    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"{platform.machine()} CPU (a dry run)"
    versions = ", ".join(
        f"{each} {metadata.version(each)}" for each in ("torch", "transformers", "peft", "bitsandbytes")
    )
    return f"{name}; {versions}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="small, on the CPU")
    parser.add_argument("--page", type=Path, help=f"where the page goes (default: {PAGE.relative_to(ROOT)})")
    given = parser.parse_args()
    if given.dry_run and given.page is None:
        parser.error("--dry-run measures nothing: give --page, so that it does not take the place of what was measured")
    began, ended_early = time.monotonic(), 0
    lines: list[str] = []
    for part in PARTS:
        left = LONGEST - (time.monotonic() - began)
        printed, problem = run(part, seconds=LONGEST if given.dry_run else min(part.seconds, left), dry=given.dry_run)
        print(f"{part.title}: {problem or 'done'}", flush=True)
        ended_early += bool(problem)
        lines += section(part, printed, problem)
    head = HEAD.format(device=device(), minutes=(time.monotonic() - began) / 60)
    (given.page or PAGE).write_text("\n".join([head.rstrip(), *lines]) + "\n", encoding="utf-8")
    return 1 if ended_early else 0


if __name__ == "__main__":
    sys.exit(main())

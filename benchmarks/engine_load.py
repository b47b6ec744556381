"""A load test on loopback: 64 streams at once against the engine's own process, with random cancels.

    python -m benchmarks.engine_load [--streams 64] [--seconds 60] [--base builtin]

Every stream asks a random adapter or the base for a random number of tokens; one in five goes away in the middle. When
one ends, the next begins. Printed: how they ended, latencies as the client sees them, and what the engine holds
afterwards (rows, queue, cache, memory), which must be nothing more than before.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from transformers.utils import logging as transformers_logging

from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from benchmarks.common.completions import Refused, stream_completion, text_of
from benchmarks.common.servers import RunningServer, end_on_sigterm, engine, found_anywhere, running
from benchmarks.engine import make_adapters
from core.common.home import Home
from core.models.base import load_model, resolve

ADAPTERS = 12  # more than there are slots
CANCELLED = 0.2  # share of streams that go away


@dataclass
class Seen:
    """What the clients saw; seconds."""

    ends: Counter[str] = field(default_factory=Counter)
    first_token: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    tokens: int = 0


async def stream(url: str, model: str, chance: random.Random, seen: Seen) -> None:
    tokens = chance.randint(10, 80)
    leave_after = chance.randint(1, tokens) if chance.random() < CANCELLED else None
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Tell me about {chance.choice(['Cuba', 'a bird', 'Monday'])}."}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "user": str(chance.randrange(8)),
    }
    began, last, pieces = time.perf_counter(), 0.0, 0
    try:
        async with aclosing(stream_completion(url, body)) as events:
            async for event in events:
                if "error" in event:
                    seen.ends[f"error: {event['error']['message']}"] += 1
                    return
                if not text_of(event):
                    continue
                now = time.perf_counter()
                (seen.between if last else seen.first_token).append(now - (last or began))
                last, pieces = now, pieces + 1
                seen.tokens += 1
                if leave_after is not None and pieces >= leave_after:
                    seen.ends["left by the client"] += 1
                    return
        seen.ends["complete"] += 1
    except Refused as refused:
        seen.ends[f"status {refused.status}"] += 1


async def load(url: str, models: list[str], streams: int, seconds: float) -> Seen:
    seen, until = Seen(), time.monotonic() + seconds

    async def one(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < until:
            await stream(url, chance.choice(models), chance, seen)

    await asyncio.gather(*(one(number) for number in range(streams)))
    return seen


def line(what: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    shares = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99)]
    return f"| {what} | " + " | ".join(f"{1000 * value:.0f}" for value in shares) + f" | {1000 * ordered[-1]:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--base", type=found_anywhere, default="builtin")
    given = parser.parse_args()
    transformers_logging.disable_progress_bar()
    end_on_sigterm()
    with tempfile.TemporaryDirectory() as place:
        home, source = Home.open(Path(place) / "home"), resolve(given.base)
        store = AdapterStore(home.adapters)
        for folder in make_adapters(load_model(source), source.id, Path(place), ADAPTERS):
            store.add(folder.name, folder, AdapterRecord(folder.name, source.id))
        with running(engine(home.root, "--base", given.base)) as server:
            measure(server, [source.id, *(f"a{i}" for i in range(ADAPTERS))], given)


def measure(server: RunningServer, models: list[str], given: argparse.Namespace) -> None:
    url, process = server.url, psutil.Process(server.pid)
    asyncio.run(load(url, models, 8, 3))  # warm: slots allocated, code paths taken once
    before, threads, cpu = process.memory_info().rss, process.num_threads(), process.cpu_times().user
    seen = asyncio.run(load(url, models, given.streams, given.seconds))
    busy = process.cpu_times().user - cpu
    while (health := httpx.get(f"{url}/health").json())["rows"] or health["waiting"]:
        time.sleep(0.1)
    print(f"{given.streams} streams for {given.seconds:.0f} s over {len(models)} models: {seen.tokens} pieces")
    print(f"ended: {', '.join(f'{end}: {count}' for end, count in seen.ends.most_common())}")
    print(f"the engine's process had {100 * busy / given.seconds:.0f} % of one core\n")
    print("| ms | p50 | p95 | p99 | worst |\n|:--|--:|--:|--:|--:|")
    print(line("time to first token, queue included", seen.first_token))
    print(line("between two pieces of a stream", seen.between))
    after, kv = process.memory_info().rss, health["kv_tokens"]
    print(
        f"\nleft behind: rows {health['rows']}, waiting {health['waiting']}, cache tokens reserved {kv['reserved']}, "
        f"threads {process.num_threads() - threads:+d}, memory {(after - before) / 2**20:+.0f} MiB"
    )


if __name__ == "__main__":
    main()

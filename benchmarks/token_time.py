"""Where a token's time goes, from socket to socket, with columns of the base or with an adapter each.

    python -m benchmarks.token_time [--base FOLDER] [--weights auto] [--threads 2] [--tokens 64] [--rounds 3]
        [--columns 1]

First the engine as a process, and a client that streams: the median time between two pieces of text as the client sees
them. Then the same engine in this process with a clock around each of its parts: microseconds per step of each part
without the parts inside it, medians over the rounds. The clocks take part of the time themselves, 0.5 µs a call; the
line "with no clock inside" has a step without them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.common.completions import stream_completion, text_of
from benchmarks.common.servers import engine, found_anywhere, running
from benchmarks.engine import PROMPT, Ours, make_adapters, operators_per_step
from core.models.base import BUILTIN, BaseSource, load_model, load_tokenizer, resolve
from core.serving.engine import grouped_attention, linear_forms, loop
from core.serving.engine.compiled_forward import CompiledForward
from core.serving.engine.fast_layers import FastAttention, FastNorm, Rotation
from core.serving.engine.kv_cache import KVCache
from core.serving.engine.shared_linear import SharedProduct
from core.serving.engine.stream import TextStream
from core.serving.lora.layers import MultiLoraLinear
from core.serving.lora.slots import HostAdapter


class PartTimes:
    """Seconds that each part has taken, without the parts that it has called. For one thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [0.0]

    def clocked(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                taken = time.perf_counter() - began
                self.seconds[part] += taken - self._inside.pop()
                self._inside[-1] += taken

        return call

    @contextmanager
    def installed(self, engine: loop.Engine) -> Iterator[None]:
        """The clocks around the parts of an engine, while it is between two steps."""
        model = engine.forward.model
        parts: list[tuple[Any, str, str]] = [
            (loop.Engine, "_decode", "the loop: what belongs to whom, and the text's ends"),
            (loop, "sample", "sampling"),
            (TextStream, "add", "tokens to text"),
            (engine.forward, "step", "inputs, mask, which rows lie where"),
            (model, "forward", "the model between its parts: modules' calls, activations, sums, Python"),
            (FastNorm, "__call__", "norms"),
            (FastAttention, "__call__", "attention's own Python"),
            (Rotation, "rotate", "rotation"),
            (KVCache, "update", "writing keys and values, and views of the cache"),
            (grouped_attention, "_sdpa", "attention"),
            (SharedProduct, "output", "the base's products"),
            (MultiLoraLinear, "forward", "the adapter's products"),
            (CompiledForward, "_run_layers", "the compiled layers"),
            (CompiledForward, "_run_head", "the compiled head"),
        ]
        forms = [kind for kind in vars(linear_forms).values() if isinstance(kind, type) and "forward" in vars(kind)]
        parts += [(kind, "forward", "the base's products") for kind in forms]
        with ExitStack() as stack:
            for owner, name, part in parts:
                stack.enter_context(patch.object(owner, name, self.clocked(part, getattr(owner, name))))
            yield


def measure_parts(ours: Ours, adapters: list[HostAdapter | None], tokens: int) -> dict[str, float]:
    """Microseconds per step of each part, and of a whole step without clocks inside."""
    prompt, counters = list(range(10, 10 + PROMPT)), ours.engine.counters
    ours.generate(prompt, adapters, 2)  # warm
    steps, seconds = counters.steps, counters.step_seconds
    ours.generate(prompt, adapters, tokens)
    found = {"a step with no clock inside": (counters.step_seconds - seconds) / (counters.steps - steps)}
    times, stack = PartTimes(), ExitStack()
    steps = counters.steps
    ours.engine.call(lambda: stack.enter_context(times.installed(ours.engine))).result()
    ours.generate(prompt, adapters, tokens)
    ours.engine.call(stack.close).result()
    found |= {part: taken / (counters.steps - steps) for part, taken in times.seconds.items()}
    return {part: 1e6 * taken for part, taken in found.items()}


async def between_pieces(url: str, tokens: int) -> float:
    """Microseconds between two pieces of text as a client sees them, the median."""
    body = {
        "model": "base",
        "messages": [{"role": "user", "content": "Why do clouds float?"}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    arrived = []
    async for event in stream_completion(url, body):
        if text_of(event):
            arrived.append(time.perf_counter())
    return 1e6 * statistics.median(later - earlier for earlier, later in pairwise(arrived))


def seen_by_a_client(source: BaseSource, given: argparse.Namespace, folder: Path) -> float:
    options = ["--base", source.location, "--weights", given.weights]
    with running(engine(folder, *options, threads=given.threads)) as server:
        ask = partial(between_pieces, server.url, given.tokens)
        asyncio.run(ask())  # warm
        return statistics.median(asyncio.run(ask()) for _ in range(given.rounds))


def prepare(source: BaseSource, weights: str, columns: int, folder: Path) -> tuple[Ours, list[HostAdapter | None]]:
    model = load_model(source)
    written = make_adapters(model, source.id, folder, columns)
    ours = Ours(model, load_tokenizer(source), source.id, weights)
    return ours, [ours.read(path) for path in written]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=found_anywhere, default=BUILTIN)
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--columns", type=int, default=1, choices=range(1, 9))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    source = resolve(given.base)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        client = seen_by_a_client(source, given, folder / "home")
        # On a thread that ends, as no other than the engine's may keep OpenMP workers.
        with ThreadPoolExecutor(1) as own:
            ours, adapters = own.submit(prepare, source, given.weights, given.columns, folder).result()
        columns: dict[str, list[HostAdapter | None]] = {
            "the base": [None] * given.columns,
            "an adapter each": adapters,
        }
        with ours:
            rounds = [
                {who: measure_parts(ours, each, given.tokens) for who, each in columns.items()}
                for _ in range(given.rounds)
            ]
            operators = [operators_per_step(ours, each) for each in columns.values()]
    print(f"Between two pieces of text as a client of one column sees them, the base: {client:,.0f} µs\n")
    print(f"| µs per step, columns: {given.columns} | {' | '.join(columns)} |\n|:--|{'--:|' * len(columns)}")
    names = sorted(rounds[0]["an adapter each"], key=lambda part: -rounds[0]["an adapter each"][part])
    for part in names:
        medians = [statistics.median(each[who].get(part, 0.0) for each in rounds) for who in columns]
        print(f"| {part} | {' | '.join(f'{value:,.0f}' for value in medians)} |")
    print(f"| operators | {' | '.join(f'{count:,.0f}' for count in operators)} |")


if __name__ == "__main__":
    main()

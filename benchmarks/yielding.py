"""A chat beside a training: how long one waits for the next token, and what the training gets done meanwhile.

One engine and two training runs, each a process with one thread, on the built-in base. They take turns in one run, the
processes whose turn it is not being stopped (SIGSTOP):
  no training            the chat alone
  training, yielding     with a run of the same home, which waits between its micro-steps while answers are written
  training, not yielding with a run of another home, which can't see that anybody chats
  training, no chat      the first run alone
Somebody chats all the time: one answer of 128 tokens after the other. Inter-token latency is what the client sees
between two pieces of an answer; tokens/s are a run's own. Each turn's p50 and p95 are taken, then their medians.

    python -m benchmarks.yielding [--rounds 5] [--seconds 8]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.completions import stream_completion
from benchmarks.common.servers import end_on_sigterm, engine, running
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.events import Progress
from core.training.launcher import start_worker
from core.training.run import Run, create_run

ANSWER = 128  # tokens
QUESTIONS = ("Who are you?", "What is the capital of Cuba?", "What is 3 plus 4?", "Tell me about a bird.")
RECIPE = {"dataset_name": "pirate", "max_steps": 100_000, "save_steps": 100_000, "eval_fraction": 0}
ALONE, YIELDING, DEAF, QUIET = "no training", "training, yielding", "training, not yielding", "training, no chat"


@dataclass
class Trainer:
    """A run under way that can be halted and let go."""

    run: Run
    process: subprocess.Popen[bytes]
    read: int = 0  # bytes of its events

    @classmethod
    def start(cls, home: Home) -> Trainer:
        run = create_run(home, Recipe.from_dict(RECIPE | {"sample_prompts": []}))
        trainer = cls(run, start_worker(run))
        while not trainer.new_steps():
            if trainer.process.poll() is not None:
                raise RuntimeError(run.log_path.read_text())
            time.sleep(0.1)
        trainer.process.send_signal(signal.SIGSTOP)
        return trainer

    def new_steps(self) -> list[Progress]:
        events, self.read = self.run.events(self.read)
        return [event for event in events if isinstance(event, Progress)]

    @contextmanager
    def working(self) -> Iterator[None]:
        self.process.send_signal(signal.SIGCONT)
        yield
        self.process.send_signal(signal.SIGSTOP)

    def rate(self) -> float | None:
        """Tokens per second between the first and the last step since the last time; None with less than two."""
        steps = self.new_steps()
        if len(steps) < 2:
            return None
        return (steps[-1].tokens - steps[0].tokens) / (steps[-1].at - steps[0].at)


async def chat(url: str, seconds: float) -> list[float]:
    """Chat for so long; the seconds between any two pieces of one answer."""
    between: list[float] = []
    until = time.monotonic() + seconds
    for question in itertools.cycle(QUESTIONS):
        body = {"model": "base", "messages": [{"role": "user", "content": question}], "temperature": 0}
        body |= {"max_tokens": ANSWER, "ignore_eos": True}
        last = None
        async with aclosing(stream_completion(url, body)) as events:
            async for event in events:
                if not event["choices"]:
                    continue
                now = time.monotonic()
                if last is not None:
                    between.append(now - last)
                last = now
                if now > until:
                    return between
    raise AssertionError("never reached")


@dataclass(frozen=True)
class Turn:
    """Seconds between tokens, and a training's tokens per second."""

    p50: float | None
    p95: float | None
    rate: float | None


def take_turn(url: str | None, trainer: Trainer | None, seconds: float) -> Turn:
    between: list[float] = []
    if trainer is not None:
        trainer.new_steps()
        with trainer.working():
            if url is not None:
                between = asyncio.run(chat(url, seconds))
            else:
                time.sleep(seconds)
    elif url is not None:
        between = asyncio.run(chat(url, seconds))
    cuts = statistics.quantiles(between, n=20) if between else []
    return Turn(
        statistics.median(between) if between else None,
        cuts[18] if cuts else None,
        trainer.rate() if trainer is not None else None,
    )


def middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def table(turns: dict[str, list[Turn]]) -> Iterator[str]:
    idle = middle([turn.p50 for turn in turns[ALONE]])
    alone = middle([turn.rate for turn in turns[QUIET]])
    assert idle and alone
    yield "| | p50 between tokens | p95 | p50, times idle | training tokens/s | share of training alone |"
    yield "|---|---|---|---|---|---|"
    for way, taken in turns.items():
        p50, p95, rate = (middle([getattr(turn, name) for turn in taken]) for name in ("p50", "p95", "rate"))
        latency = f"{1000 * p50:.1f} ms | {1000 * p95:.1f} ms | {p50 / idle:.2f}" if p50 and p95 else "– | – | –"
        speed = f"{rate:,.0f} | {rate / alone:.0%}" if rate else "– | –"
        yield f"| {way} | {latency} | {speed} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    given = parser.parse_args()
    os.environ |= {"STUDIO_TORCH_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    end_on_sigterm()
    trainers: list[Trainer] = []
    with tempfile.TemporaryDirectory() as place:
        home, other = Home.open(Path(place) / "one"), Home.open(Path(place) / "other")
        try:
            with running(engine(home.root)) as server:
                url = server.url
                trainers += [Trainer.start(home), Trainer.start(other)]
                yielding, deaf = trainers
                ways = {ALONE: (url, None), YIELDING: (url, yielding), DEAF: (url, deaf), QUIET: (None, yielding)}
                turns: dict[str, list[Turn]] = {way: [] for way in ways}
                asyncio.run(chat(url, 2))  # warm
                for number in range(given.rounds):
                    for way, (where, trainer) in ways.items():
                        turns[way].append(take_turn(where, trainer, given.seconds))
                        print(f"round {number + 1}: {way}: {turns[way][-1]}", file=sys.stderr, flush=True)
        finally:
            for trainer in trainers:
                trainer.process.kill()
                trainer.process.wait()
    print("\n".join(table(turns)))


if __name__ == "__main__":
    main()

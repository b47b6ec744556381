"""What the cache's layout and prefix reuse are worth, each beside what it replaces, in one run.

    python -m benchmarks.kv_cache [--base builtin] [--tokens 900] [--rounds 5] [--threads 1]

Turns: time to first token of a conversation's first turn of --tokens tokens, and of its second turn with what was read
kept, and read anew (as another client, who gets nothing of it).
Mixed lengths: one row of --tokens tokens and seven of 64 in one decode step: each in a range of its own, and as a grid
of equal rows has them: each as long as the longest, all in one call of attention. Milliseconds per step, by turns, and
how many tokens of the cache either way claims.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers.utils import logging as transformers_logging

from core.models.base import load_model, load_tokenizer, resolve
from core.serving.engine import row_groups
from core.serving.engine.build import build_engine
from core.serving.engine.forward import Forward
from core.serving.engine.loop import Engine
from core.serving.engine.sampling_params import SamplingParams
from core.serving.engine.sequence import RequestOutput, Sequence
from core.serving.kv_budget import aligned
from core.serving.settings import EngineSettings

ROWS, SHORT = 8, 64
ANSWER, ADDED = 16, 24  # tokens of an answer, and of what a person says next


def first_token(engine: Engine, prompt: list[int], client: str) -> tuple[float, list[int]]:
    """Seconds to the first token, and the answer."""
    ended = threading.Event()

    def on_output(output: RequestOutput) -> None:
        if output.is_last:
            ended.set()

    params = SamplingParams(max_tokens=ANSWER, temperature=0.0, ignore_eos=True)
    sequence = Sequence(prompt, params, on_output, client=client)
    engine.submit([sequence])
    ended.wait()
    assert sequence.first_token_at is not None, "the completion has failed"
    return sequence.first_token_at - sequence.arrived_at, sequence.output_ids


def turns(engine: Engine, tokens: int, rounds: int) -> None:
    taken: dict[str, list[float]] = {"first turn": [], "second turn, kept": [], "second turn, read anew": []}
    for number in range(rounds):
        prompt = [10 + (7 * i + number) % 500 for i in range(tokens)]
        seconds, answer = first_token(engine, prompt, "a")
        taken["first turn"].append(seconds)
        following = [*prompt, *answer, *range(20, 20 + ADDED)]
        taken["second turn, kept"].append(first_token(engine, following, "a")[0])
        taken["second turn, read anew"].append(first_token(engine, following, f"another {number}")[0])
    print(f"\nTime to first token after {tokens} tokens, ms\n")
    for turn, each in taken.items():
        print(f"- {turn}: {1000 * statistics.median(each):.1f}")
    pairs = zip(taken["second turn, read anew"], taken["second turn, kept"], strict=True)
    print(f"- read anew / kept: {statistics.median(anew / kept for anew, kept in pairs):.1f}")


@contextmanager
def one_group() -> Iterator[None]:
    """Rows at equal distances are one group however unequal their lengths."""
    waste, row_groups.WASTE = row_groups.WASTE, 1 << 30
    try:
        yield
    finally:
        row_groups.WASTE = waste


def rows_of(forward: Forward, lengths: list[int], capacities: list[int]) -> list[Sequence]:
    """Rows whose prompts of these lengths have been read."""
    rows = []
    for length, capacity in zip(lengths, capacities, strict=True):
        row = Sequence([10 + i % 500 for i in range(length)], SamplingParams(), lambda output: None)
        row.kv_range = forward.cache.allocate(capacity)
        forward.chunk([row], 0, length)
        row.cached, row.output_ids = length, [10]
        rows.append(row)
    return rows


def step_seconds(forward: Forward, rows: list[Sequence]) -> float:
    started = time.perf_counter()
    forward.step(rows)  # the token is not appended, so that each step is the same one
    return time.perf_counter() - started


@torch.inference_mode()
def mixed_lengths(forward: Forward, tokens: int, rounds: int) -> None:
    lengths = [tokens, *[SHORT] * (ROWS - 1)]
    longest = aligned(tokens + ANSWER)
    own = [aligned(length + ANSWER) for length in lengths]
    in_ranges, in_grid = rows_of(forward, lengths, own), rows_of(forward, lengths, [longest] * ROWS)
    ranges_taken: list[float] = []
    grid_taken: list[float] = []
    for _ in range(20 * rounds):
        ranges_taken.append(step_seconds(forward, in_ranges))
        with one_group():
            grid_taken.append(step_seconds(forward, in_grid))
    print(f"\nOne row of {tokens} tokens and {ROWS - 1} of {SHORT} in a step\n")
    print("| | tokens claimed | ms per step |\n|:--|--:|--:|")
    for way, claimed, taken in (("a range each", sum(own), ranges_taken), ("a grid", ROWS * longest, grid_taken)):
        print(f"| {way} | {claimed} | {1000 * statistics.median(taken):.2f} |")
    ratio = statistics.median(g / r for g, r in zip(grid_taken, ranges_taken, strict=True))
    print(f"\n- grid / ranges: {ROWS * longest / sum(own):.1f} times the tokens, {ratio:.2f} times the time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="builtin")
    parser.add_argument("--tokens", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers_logging.disable_progress_bar()
    source = resolve(given.base)
    room = 2 * (ROWS + 1) * aligned(given.tokens + 2 * ANSWER + ADDED)
    settings = EngineSettings(max_rows=ROWS, kv_tokens=room, threads=given.threads)
    engine = build_engine(load_model(source), load_tokenizer(source), settings).engine
    mixed_lengths(engine.forward, given.tokens, given.rounds)
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        turns(engine, given.tokens, given.rounds)
    finally:
        engine.close()
        thread.join()


if __name__ == "__main__":
    main()

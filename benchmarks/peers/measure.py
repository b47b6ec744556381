"""What is measured of each server: tokens per second in side-by-side columns, and a conversation's second turn."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from benchmarks.common.completions import stream_completion, text_of
from benchmarks.peers.servers import Peer

QUESTION = (
    "Tell me, in plain words and with a few examples, how rain is made, why clouds float, and what a rainbow has to do "
    "with both of them."
)
STORY = " ".join(
    f"In the year {1900 + i} the town of Elm had {300 + i} houses, a mill and {i % 9} bakers." for i in range(70)
)
TURN_TOKENS = 16  # of an answer in a conversation
Messages: TypeAlias = list[dict[str, str]]


class Runner(Protocol):
    """A server that works in its turn only."""

    @property
    def url(self) -> str: ...

    def turn(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Contestant:
    """A peer whose server runs."""

    peer: Peer
    runner: Runner


@dataclass(frozen=True)
class Answer:
    """first_token: seconds to its text. cached: of the prompt's tokens, those that were not read again."""

    text: str
    tokens: int
    prompt_tokens: int
    cached: int
    first_token: float


@dataclass(frozen=True)
class Columns:
    """Tokens per second of all together; the median of their seconds to the first token."""

    rate: float
    first_token: float


@dataclass(frozen=True)
class Turns:
    first: Answer
    second: Answer


async def ask(url: str, choice: dict[str, Any], messages: Messages, tokens: int) -> Answer:
    """Raises RuntimeError for an answer that is not whole, Refused where there is none."""
    body = choice | {"messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    began, first, pieces, usage = time.perf_counter(), None, [], None
    async for event in stream_completion(url, body | {"stream_options": {"include_usage": True}}):
        if "error" in event:
            raise RuntimeError(f"{url}: {event['error']}")
        if piece := text_of(event):
            first = first or time.perf_counter() - began
            pieces.append(piece)
        usage = event.get("usage") or usage
    if first is None or usage is None or usage["completion_tokens"] != tokens:
        raise RuntimeError(f"{url} was to answer in {tokens} tokens; it counts {usage}")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Answer("".join(pieces), tokens, usage["prompt_tokens"], cached, first)


async def ask_columns(contestant: Contestant, adapters: Sequence[int | None], mark: str, tokens: int) -> Columns:
    """One question in all columns at once; `mark` begins it, so that no prompt has been seen before."""
    messages = [{"role": "user", "content": f"{mark}. {QUESTION}"}]
    began, url = time.perf_counter(), contestant.runner.url
    answers = await asyncio.gather(
        *(ask(url, contestant.peer.choose(adapter), messages, tokens) for adapter in adapters)
    )
    seconds = time.perf_counter() - began
    first = statistics.median(answer.first_token for answer in answers)
    return Columns(sum(answer.tokens for answer in answers) / seconds, first)


async def talk(contestant: Contestant, mark: str) -> Turns:
    """A first turn of about 2,000 tokens, and a short second one, both with the first adapter."""
    messages = [{"role": "user", "content": f"{mark}. {STORY} How many bakers were there in 1903?"}]
    choice, url = contestant.peer.choose(0), contestant.runner.url
    first = await ask(url, choice, messages, TURN_TOKENS)
    messages += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "And how many houses?"}]
    return Turns(first, await ask(url, choice, messages, TURN_TOKENS))


Result = TypeVar("Result")
Work: TypeAlias = Callable[[Contestant, str], Result]
"""Measures once; the text is another one in each round."""


def by_turns(
    contestants: dict[str, Contestant], works: dict[str, Work[Result]], rounds: int, prefix: str = "Round"
) -> dict[str, dict[str, list[Result]]]:
    """Work -> contestant -> what it gave in each round. All do one work before the next comes, each in its own turn."""
    results: dict[str, dict[str, list[Result]]] = {work: {name: [] for name in contestants} for work in works}
    for number in range(1, rounds + 1):
        for title, work in works.items():
            for name, contestant in contestants.items():
                mark = f"{prefix} {number}, {title}"
                print(f"{mark}: {name}", file=sys.stderr, flush=True)
                with contestant.runner.turn():
                    results[title][name].append(work(contestant, mark))
    return results

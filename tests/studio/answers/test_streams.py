"""Columns stream at once, fail alone, and end when nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.common.errors import UserError
from studio.answers.streams import StreamedAnswer, merge_streams
from studio.engine.client import Delta


async def words(*texts: str, model: str = "base") -> AsyncIterator[Delta]:
    for text in texts:
        await asyncio.sleep(0)
        yield Delta(text, model)
    yield Delta("", model, "stop", {"completion_tokens": len(texts)})


async def failing() -> AsyncIterator[Delta]:
    yield Delta("half", "pirate")
    raise UserError("The adapter is gone.")


async def collect(*streams: AsyncIterator[Delta]) -> list[list[StreamedAnswer]]:
    return [snapshot async for snapshot in merge_streams(streams, frame=0)]


def test_last_snapshot_holds_every_column_whole() -> None:
    snapshots = asyncio.run(collect(words("a", "b"), words("x", "y", "z", model="pirate")))
    last = snapshots[-1]
    assert [answer.text for answer in last] == ["ab", "xyz"]
    assert [answer.model for answer in last] == ["base", "pirate"]
    assert [answer.usage["completion_tokens"] for answer in last] == [2, 3]
    assert all(answer.done for answer in last)


def test_a_failing_column_keeps_its_text_and_leaves_the_others_alone() -> None:
    broken, whole = asyncio.run(collect(failing(), words("fine")))[-1]
    assert (broken.text, broken.error) == ("half", "The adapter is gone.")
    assert (whole.text, whole.error) == ("fine", "")


def test_a_bug_in_a_column_shows_no_traceback() -> None:
    async def buggy() -> AsyncIterator[Delta]:
        yield Delta("x", "base")
        raise ZeroDivisionError("secret detail")

    answer = asyncio.run(collect(buggy()))[-1][0]
    assert answer.done
    assert answer.error
    assert "secret" not in answer.error


def test_closing_the_merged_stream_closes_every_column() -> None:
    closed: list[str] = []

    async def endless(name: str) -> AsyncIterator[Delta]:
        try:
            while True:
                await asyncio.sleep(0)
                yield Delta(".", name)
        finally:
            closed.append(name)

    async def main() -> None:
        merged = merge_streams([endless("a"), endless("b")], frame=0)
        await anext(merged)
        await merged.aclose()

    asyncio.run(main())
    assert sorted(closed) == ["a", "b"]


@pytest.mark.parametrize("count", [1, 4])
def test_every_column_count(count: int) -> None:
    last = asyncio.run(collect(*(words(str(n)) for n in range(count))))[-1]
    assert [answer.text for answer in last] == [str(n) for n in range(count)]

"""A list of prompts through several models: the table fills as answers come, and a failure stays in its cell."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator

import pytest

from adapters.common.errors import UserError
from studio.compare.prompt_lists import MAX_CONCURRENT, MAX_PROMPTS, PromptListResults, ask_prompts, prompts_of
from studio.engine.client import Delta


async def answer(model: str, prompt: str) -> AsyncIterator[Delta]:
    if prompt == "fail" and model == "b":
        raise UserError("No such adapter.", "Choose another one.")
    yield Delta(text=f"{model} says ", model=model)
    await asyncio.sleep(0)
    yield Delta(text=prompt, model=model, finish_reason="stop", usage={"completion_tokens": 3})


def asked(prompts: tuple[str, ...], models: tuple[str, ...]) -> list[PromptListResults]:
    async def all_of() -> list[PromptListResults]:
        return [results async for results in ask_prompts(prompts, models, answer, frame=0)]

    return asyncio.run(all_of())


def test_every_prompt_reaches_every_model_and_the_files_say_so() -> None:
    snapshots = asked(("one", 'two, "quoted"\nline', "fail"), ("a", "b"))
    last = snapshots[-1]
    assert [results.done for results in snapshots] == sorted(results.done for results in snapshots)
    assert (last.done, last.total) == (6, 6)
    rows = list(csv.reader(io.StringIO(last.as_csv())))
    assert rows[0] == ["prompt", "a", "b"]
    assert rows[1] == ["one", "a says one", "b says one"]
    assert rows[2][0] == 'two, "quoted"\nline'
    assert rows[3] == ["fail", "a says fail", ""]
    records = [json.loads(line) for line in last.as_jsonl({"temperature": 0}).splitlines()]
    assert len(records) == 6
    assert records[0] | {"answer": "a says one", "completion_tokens": 3, "temperature": 0} == records[0]
    assert (records[5]["answer"], "No such adapter" in records[5]["error"]) == (None, True)


def test_the_results_say_how_many_answers_failed() -> None:
    assert asked(("<b>x</b>",), ("a",))[-1].failed == 0
    assert asked(("fail",), ("b",))[-1].failed == 1


def test_only_a_few_requests_are_in_the_engine_at_once_and_closing_ends_them() -> None:
    running = most = 0

    async def slow(model: str, prompt: str) -> AsyncIterator[Delta]:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        try:
            yield Delta(text="x", model=model)
            await asyncio.Event().wait()
        finally:
            running -= 1

    async def some() -> None:
        snapshots = ask_prompts([str(i) for i in range(20)], ["a"], slow, frame=0)
        async for results in snapshots:
            if running == MAX_CONCURRENT:
                assert results.done == 0
                break
        await snapshots.aclose()

    asyncio.run(asyncio.wait_for(some(), 20))
    assert (most, running) == (MAX_CONCURRENT, 0)


def test_lists_are_checked() -> None:
    assert prompts_of(" one \n\n two\n") == ("one", "two")
    for text in ("", None, " \n "):
        with pytest.raises(UserError, match="no prompts"):
            prompts_of(text)
    with pytest.raises(UserError, match=str(MAX_PROMPTS)):
        prompts_of("x\n" * (MAX_PROMPTS + 1))

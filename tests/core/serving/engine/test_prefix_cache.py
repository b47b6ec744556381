"""What was read once is not read again, and nobody can tell but by the time it takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from core.models.base import load_model, load_tokenizer, resolve
from core.serving.engine.prefix_cache import common_length
from core.serving.lora.slots import HostAdapter
from tests.core.serving import tiny
from tests.core.serving.running import Reader, Running, greedy, reader_for
from tests.sweeps import sweep

TURN = list(range(20, 90))  # the tokens of a first prompt
NEXT = list(range(100, 112))  # what a person adds
POISON = 199


def ask_whole(running: Running, prompt: list[int], adapter: HostAdapter | None = None, **params: Any) -> Reader:
    settings = {"max_tokens": 12, "ignore_eos": True, "logprobs": 0} | params
    return running.ask(prompt, adapter, **settings).ended()


def logprobs(reader: Reader) -> list[float]:
    found = [output.sampled.logprob for output in reader.outputs if output.sampled is not None]
    return [value for value in found if value is not None]


def assert_same(reader: Reader, other: Reader) -> None:
    assert (reader.error, reader.tokens) == (None, other.tokens)
    assert logprobs(reader) == pytest.approx(logprobs(other), abs=1e-4)


def tokens_read(running: Running) -> list[tuple[int, int]]:
    """Rows and tokens of each forward from now on."""
    shapes: list[tuple[int, int]] = []
    running.engine.forward.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    return shapes


def assert_two_turns_are_the_same(running: Running, adapters: list[HostAdapter | None]) -> None:
    for adapter in adapters:
        first = ask_whole(running, TURN, adapter)
        following = TURN + first.tokens + NEXT
        second = ask_whole(running, following, adapter)
        assert second.sequence.reused == len(TURN) + 11  # the answer's last token was never read
        again = ask_whole(running, following, adapter)  # regenerated
        assert again.sequence.reused == len(following) - 1
        edited = ask_whole(running, [*TURN[:50], *NEXT], adapter)
        assert edited.sequence.reused == 50
        for reader in (first, second, again, edited):
            fresh = ask_whole(running, reader.sequence.prompt_ids, adapter, client="somebody new")
            assert_same(reader, fresh)
            running.between_steps(lambda: forget(running, "somebody new"))


def forget(running: Running, client: str) -> None:
    prefixes = running.engine.prefixes
    for kept in [kept for kept in prefixes._kept if kept.owner[0] == client]:
        running.engine.cache.ranges.free(prefixes._release(kept))


@pytest.mark.parametrize("family", sweep(tiny.FAMILIES, fast=("llama", "mistral")))
def test_a_second_turn_says_what_it_says_when_all_is_read_anew(family: str, tmp_path: Path) -> None:
    folder = tiny.adapter(tmp_path / "one", tiny.model(family), seed=1, r=4)
    with Running(tiny.model(family), prefill_chunk=16) as running:
        assert_two_turns_are_the_same(running, [None, running.read(folder)])


@pytest.mark.slow
def test_a_second_turn_on_the_builtin_base_says_what_it_says_when_all_is_read_anew(tmp_path: Path) -> None:
    source = resolve("builtin")
    model = load_model(source)
    folder = tiny.adapter(tmp_path / "one", model, seed=1, r=4)
    with Running(model, load_tokenizer(source), max_length=512) as running:
        assert_two_turns_are_the_same(running, [None, running.read(folder)])


def test_the_next_turn_reads_only_what_is_new(running: Running) -> None:
    first = ask_whole(running, TURN)
    shapes = tokens_read(running)
    second = ask_whole(running, TURN + first.tokens + NEXT, max_tokens=1)
    assert sum(tokens for _, tokens in shapes) == len(NEXT) + 1
    assert second.sequence.kv_range is first.sequence.kv_range  # it has grown, and nothing was copied
    counters = running.engine.counters
    assert (counters.prefix_queries, counters.prefix_hits) == (2 * len(TURN) + 12 + len(NEXT), len(TURN) + 11)
    assert counters.prompt_tokens == len(TURN) + len(NEXT) + 1


def test_a_prefix_is_taken_from_a_row_that_still_runs(running: Running) -> None:
    long = running.ask(TURN, max_tokens=400, ignore_eos=True).begun()
    other = ask_whole(running, TURN[:40] + NEXT)
    assert other.sequence.reused == 40
    assert not long.sequence.finished
    running.engine.cancel([long.sequence])
    assert_same(other, ask_whole(running, TURN[:40] + NEXT, client="new"))


def test_choices_of_one_long_prompt_read_it_once() -> None:
    prompt = list(range(6, 206))
    with Running(tiny.model(), max_rows=4) as running:
        shapes = tokens_read(running)
        readers = [reader_for(prompt, max_tokens=4, temperature=1.0, seed=seed) for seed in range(4)]
        running.engine.submit([reader.sequence for reader in readers])
        assert {reader.error for reader in readers} == {None}
        assert sum(rows * tokens for rows, tokens in shapes if tokens > 1) == len(prompt)
        assert sorted(reader.sequence.reused for reader in readers) == [0, 199, 199, 199]
        alone = running.ask(prompt, max_tokens=4, temperature=1.0, seed=2, client="new")
        assert alone.tokens == readers[2].tokens


def test_nothing_is_shared_between_clients_adapters_or_versions_of_an_adapter(
    running: Running, adapters: list[HostAdapter], folders: list[Path]
) -> None:
    ask_whole(running, TURN, adapters[0])
    read_again = running.read(folders[0])
    for adapter, client, reused in (
        (None, "", 0), (adapters[1], "", 0), (read_again, "", 0), (adapters[0], "b", 0), (adapters[0], "", 69)
    ):  # fmt: skip
        assert ask_whole(running, TURN, adapter, client=client).sequence.reused == reused


@pytest.mark.parametrize("beside", [False, True])
def test_what_has_failed_is_not_kept(running: Running, beside: bool, adapters: list[HostAdapter]) -> None:
    def check(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if bool((kwargs["input_ids"] == POISON).any()):
            raise ValueError("poison")

    expected = ask_whole(running, TURN, client="before")
    running.engine.forward.model.register_forward_pre_hook(check, with_kwargs=True)
    other = running.ask([5, 6, 7], max_tokens=200, ignore_eos=True).begun() if beside else None
    assert ask_whole(running, TURN, logit_bias=((POISON, 100.0),)).error is not None
    huge = HostAdapter("huge", Path(), (), {p: (a * 0 + 3e38, b * 0 + 3e38) for p, (a, b) in adapters[1].pairs.items()})
    assert "not a number" in str(ask_whole(running, TURN, huge).error)
    assert "not a number" in str(ask_whole(running, TURN, huge).error)
    after = ask_whole(running, TURN)
    assert after.sequence.reused == 0
    assert_same(after, expected)
    if other:
        running.engine.cancel([other.sequence])


def test_what_was_cancelled_is_kept_once_it_has_said_something(running: Running) -> None:
    under_way = running.ask(TURN, max_tokens=400, ignore_eos=True).begun()
    running.engine.cancel([under_way.sequence])
    said = under_way.tokens
    after = ask_whole(running, TURN + said + NEXT)
    assert after.sequence.reused >= len(TURN) + len(said) - 1
    assert_same(after, ask_whole(running, TURN + said + NEXT, client="new"))


def test_what_was_cancelled_before_its_prompt_was_read_is_not_kept() -> None:
    with Running(tiny.model(), prefill_chunk=8) as running:
        cancelled = reader_for(TURN)

        def cancel_once(*_: Any) -> None:
            if not cancelled.sequence.finished and running.engine.running == [cancelled.sequence]:
                running.engine.cancel([cancelled.sequence])

        running.engine.forward.model.register_forward_pre_hook(cancel_once)
        running.engine.submit([cancelled.sequence])
        assert (cancelled.end, cancelled.tokens) == ("cancelled", [])
        assert 0 < cancelled.sequence.cached < len(TURN)
        assert ask_whole(running, TURN).sequence.reused == 0


def test_the_least_recently_used_makes_room() -> None:
    prompts = [[token] * 50 for token in (30, 40, 50, 60)]
    with Running(tiny.model(), kv_tokens=256) as running:
        for prompt in prompts:  # of 64 tokens each: the cache is full
            ask_whole(running, prompt)
        assert running.engine.stats().kv_kept == 4 * 61
        assert ask_whole(running, prompts[0] + NEXT[:1], max_tokens=2).sequence.reused == 50
        ask_whole(running, [70] * 50)
        reused = [ask_whole(running, prompt, client="").sequence.reused for prompt in (prompts[0], prompts[3])]
        assert reused == [49, 49]
        assert running.engine.stats().kv_kept <= 256


def test_a_conversation_that_fills_the_cache_goes_on_in_its_own_range() -> None:
    with Running(tiny.model(), kv_tokens=384) as running:
        small = ask_whole(running, [70] * 50)
        first = ask_whole(running, list(range(6, 196)))
        other = reader_for(
            [5, 6, 7], max_tokens=58, ignore_eos=True, logprobs=0
        )  # comes to lie behind it, so that it cannot grow
        following = [*first.sequence.prompt_ids, *first.tokens, *NEXT]
        second = reader_for(following, max_tokens=100, ignore_eos=True, logprobs=0)
        running.engine.submit([other.sequence, second.sequence])
        assert (second.end, second.sequence.reused) == ("length", 190 + 11)
        assert second.sequence.kv_range is first.sequence.kv_range
        assert_same(other, ask_whole(running, [5, 6, 7], max_tokens=58))
        assert ask_whole(running, small.sequence.prompt_ids).sequence.reused == 0  # it had to go
        assert_same(second, ask_whole(running, following, client="new", max_tokens=100))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_conversations_say_what_transformers_says(seed: int, folders: list[Path]) -> None:
    """Chats of several people on several adapters, continued, edited, forked and cancelled, in a small cache."""
    chance, new = random.Random(seed), 6
    references: dict[Path | None, Callable[[list[int]], list[int]]] = {
        None: lambda prompt: greedy(tiny.model(), prompt, new)
    }
    for folder in folders[:2]:
        peft = PeftModel.from_pretrained(tiny.model(), folder).eval()
        references[folder] = lambda prompt, peft=peft: greedy(peft, prompt, new)  # type: ignore[misc]
    with Running(tiny.model(), slots=2, max_rows=4, prefill_chunk=16, kv_tokens=768, max_waiting=200) as running:
        adapters = {None: None} | {folder: running.read(folder) for folder in folders[:2]}
        chats: list[tuple[Path | None, str, list[int]]] = [
            (chance.choice(list(references)), chance.choice("ab"), [60 + number] * 30 + TURN[:30])
            for number in range(4)
        ]
        asked: list[tuple[Path | None, Reader]] = []
        for _ in range(40):
            index = chance.randrange(len(chats))
            model, client, prompt = chats[index]
            reader = running.ask(prompt, adapters[model], client=client, max_tokens=new)
            asked.append((model, reader))
            action = chance.choice(["continue", "continue", "edit", "cancel", "beside"])
            if action == "cancel":
                running.engine.cancel([reader.sequence])
            elif action == "continue" and len(prompt) < 200:
                added = [chance.randrange(6, 200) for _ in range(chance.randint(1, 20))]
                chats[index] = model, client, prompt + reader.tokens + added
            elif action == "edit":
                kept = prompt[: chance.randint(10, len(prompt))]
                chats[index] = model, client, [*kept, chance.randrange(6, 200)]
        for model, reader in asked:
            wanted = references[model](reader.sequence.prompt_ids)
            assert reader.error is None
            assert reader.tokens == wanted[: len(reader.tokens) if reader.end == "cancelled" else new]
        assert running.engine.counters.prefix_hits > 300
        stats = running.between_steps(running.engine.stats)
        assert (stats.kv_reserved, stats.kv_used) == (0, 0)
        assert 0 < stats.kv_kept <= 768


def test_how_much_two_prompts_have_in_common() -> None:
    assert common_length([1, 2, 3], [1, 2, 3]) == 3
    assert common_length([1, 2, 3], [1, 2]) == 2
    assert common_length([1, 2, 3], [1, 5, 3]) == 1
    assert common_length([], [1]) == 0

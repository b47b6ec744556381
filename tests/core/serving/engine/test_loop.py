"""The loop: rows join and leave, adapters change under way, memory is kept to, and nothing is left behind."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import torch

from adapters.common.errors import UserError
from core.serving.engine.scheduler import QueueFull
from core.serving.kv_budget import aligned
from core.serving.lora.slots import HostAdapter
from tests.core.serving import tiny
from tests.core.serving.running import Reader, Running, reader_for

PROMPT = [1, 3, 80, 81, 82]
LONG = 400  # tokens: long enough to be under way still when the test acts


def alone(adapter: HostAdapter | None, prompt: list[int], **params: Any) -> Reader:
    with Running(tiny.model()) as one:
        return one.ask(prompt, adapter, **params).ended()


@pytest.mark.slow
def test_a_replaced_adapter_finishes_its_rows_on_the_old_weights(running: Running, adapters: list[HostAdapter]) -> None:
    old, new = adapters[0], adapters[1]
    under_way = running.ask(PROMPT, old, max_tokens=100, ignore_eos=True).begun()
    running.engine.retire(old)  # replaced: new requests come with the new object
    after = running.ask(PROMPT, new, max_tokens=100, ignore_eos=True)
    assert under_way.tokens == alone(old, PROMPT, max_tokens=100, ignore_eos=True).tokens
    assert after.tokens == alone(new, PROMPT, max_tokens=100, ignore_eos=True).tokens
    assert running.between_steps(running.engine.slots.resident) == [new]


def test_slots_hold_the_latest_used_and_more_adapters_than_slots_are_served(
    running: Running, adapters: list[HostAdapter]
) -> None:
    asked = [running.ask(PROMPT, adapter) for adapter in adapters]  # six adapters, two slots
    assert len({tuple(reader.tokens) for reader in asked}) == 6
    assert set(running.between_steps(running.engine.slots.resident)) == set(adapters[4:])
    running.ask(PROMPT, adapters[4]).ended()  # now 5 is the one longest unused
    running.ask(PROMPT, adapters[0]).ended()
    assert set(running.between_steps(running.engine.slots.resident)) == {adapters[4], adapters[0]}


def test_an_install_while_all_slots_decode_is_left_to_the_host(running: Running, adapters: list[HostAdapter]) -> None:
    busy = [running.ask(PROMPT, each, max_tokens=LONG, ignore_eos=True).begun() for each in adapters[:2]]
    assert running.engine.install(adapters[2]).result(60) is None
    waits = running.ask(PROMPT, adapters[2], max_tokens=2)
    running.engine.cancel([busy[0].sequence])
    assert waits.end == "length"  # it got the slot that became free
    running.engine.cancel([busy[1].sequence])


def test_a_higher_rank_grows_the_slots_and_keeps_what_is_in_them(running: Running, adapters: list[HostAdapter]) -> None:
    expected = alone(adapters[0], PROMPT, max_tokens=60, ignore_eos=True).tokens
    under_way = running.ask(PROMPT, adapters[0], max_tokens=60, ignore_eos=True).begun()
    wide = HostAdapter(
        "wide",
        adapters[0].folder,
        (),
        {
            path: (torch.randn(a.shape[0], 40), torch.randn(40, b.shape[1]))
            for path, (a, b) in adapters[0].pairs.items()
        },
    )
    assert running.ask(PROMPT, wide, max_tokens=3, ignore_eos=True).end == "length"
    assert under_way.tokens == expected
    assert {layer.rank for layer in running.engine.slots.layers.values()} == {40}


def test_columns_with_one_prompt_share_one_prefill(adapters: list[HostAdapter]) -> None:
    with Running(tiny.model(), max_rows=4, slots=2) as running:
        forwards: list[tuple[int, int]] = []
        running.engine.forward.model.register_forward_pre_hook(
            lambda module, args, kwargs: forwards.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        )
        readers = [reader_for(PROMPT, adapter, max_tokens=3) for adapter in (None, adapters[0], adapters[1], None)]
        running.engine.submit([reader.sequence for reader in readers])
        for reader in readers:
            reader.ended()
    assert forwards[0] == (4, len(PROMPT))
    assert set(forwards[1:]) == {(4, 1)}


def test_a_long_prompt_never_holds_up_running_rows_for_more_than_a_chunk(running: Running) -> None:
    forwards: list[tuple[int, int]] = []
    running.engine.forward.model.register_forward_pre_hook(
        lambda module, args, kwargs: forwards.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    first = running.ask(PROMPT, max_tokens=LONG, ignore_eos=True).begun()
    running.ask(list(range(10, 110)), max_tokens=1, ignore_eos=True).ended()
    running.engine.cancel([first.sequence])
    first.ended()
    chunks = [i for i, (_, tokens) in enumerate(forwards) if tokens > 1][1:]  # without the first row's own
    assert all(forwards[i][1] <= 8 for i in chunks)
    assert len(chunks) == 13
    assert all(forwards[i + 1] == (1, 1) for i in chunks[:-1])  # a decode step after each


@pytest.mark.slow
def test_memory_is_kept_to_and_what_can_never_fit_is_refused_with_the_numbers() -> None:
    with Running(tiny.model(), max_rows=8, kv_tokens=256) as running:
        most = [0]
        running.engine.forward.model.register_forward_pre_hook(
            lambda module, args, kwargs: most.append(sum(aligned(row.reserved) for row in running.engine.running)),
            with_kwargs=True,
        )
        asked = [running.ask(PROMPT, max_tokens=10 + 20 * (i % 5), ignore_eos=True) for i in range(15)]
        assert [reader.end for reader in asked] == ["length"] * 15
        assert 128 < max(most) <= 256
        with pytest.raises(UserError, match=r"305 in all; this engine holds at most 256"):
            running.ask(PROMPT, max_tokens=300)
        with pytest.raises(UserError, match="empty"):
            running.ask([])


@pytest.mark.slow
def test_a_long_row_takes_no_more_room_than_its_own() -> None:
    with Running(tiny.model(), max_rows=8, kv_tokens=1024) as running:
        rows: list[int] = []
        running.engine.forward.model.register_forward_pre_hook(
            lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        long = reader_for(PROMPT, max_tokens=500, ignore_eos=True)
        short = [reader_for(PROMPT, max_tokens=50, ignore_eos=True) for _ in range(7)]
        running.engine.submit([reader.sequence for reader in (long, *short)])
        assert [len(reader.tokens) for reader in (long, *short)] == [500, *[50] * 7]
    assert rows[:50] == [8] * 50  # with equal rows, two of 512 would have been all
    assert len({tuple(reader.tokens) for reader in short}) == 1
    assert long.tokens[:50] == short[0].tokens


def test_the_queue_is_bounded() -> None:
    with Running(tiny.model(), max_rows=1, max_waiting=4) as running:
        busy = running.ask(PROMPT, max_tokens=LONG, ignore_eos=True).begun()
        waiting = [running.ask(PROMPT, client=client, max_tokens=1) for client in "aabb"]
        with pytest.raises(QueueFull):
            running.ask(PROMPT, client="c")
        running.engine.cancel([busy.sequence])
        assert [reader.end for reader in waiting] == ["length"] * 4


def test_a_busy_client_does_not_keep_another_waiting(running: Running) -> None:
    many = [running.ask([1, 3, 90 + i], client="many", max_tokens=20, ignore_eos=True) for i in range(50)]
    few = running.ask([1, 3, 200, 7], client="few", max_tokens=20, ignore_eos=True)
    few.ended()
    assert sum(reader.sequence.finished for reader in many) <= 12


def test_a_cancelled_row_leaves_within_one_step_and_one_that_waits_at_once(running: Running) -> None:
    rows = [running.ask(PROMPT, max_tokens=240, ignore_eos=True).begun() for _ in range(4)]  # all that fit
    waits = running.ask(PROMPT)
    running.engine.cancel([waits.sequence])
    assert (waits.end, waits.tokens) == ("cancelled", [])

    def cancel_now() -> int:
        running.engine.cancel([rows[1].sequence])
        return len(rows[1].sequence.output_ids)

    at = running.between_steps(cancel_now)  # the command is in the queue before the next step begins
    assert rows[1].end == "cancelled"
    assert len(rows[1].sequence.output_ids) == at
    running.engine.cancel([reader.sequence for reader in rows])


def test_stop_strings_and_stop_tokens_end_a_row(running: Running) -> None:
    free = running.ask(PROMPT, max_tokens=40, ignore_eos=True)
    text = free.text
    stop = next(text[i : i + 2] for i in range(4, len(text) - 2) if "�" not in text[i : i + 2])
    by_text = running.ask(PROMPT, max_tokens=40, ignore_eos=True, stop=(stop,))
    assert (by_text.end, by_text.text) == ("stop", text[: text.index(stop)])
    token = free.tokens[6]
    by_token = running.ask(PROMPT, max_tokens=40, ignore_eos=True, stop_token_ids=(token,))
    assert by_token.end == "stop"
    assert by_token.tokens == free.tokens[: free.tokens.index(token) + 1]


def test_a_seed_gives_the_same_text_whatever_is_in_the_batch(running: Running, adapters: list[HostAdapter]) -> None:
    def seeded() -> Reader:
        return running.ask(PROMPT, adapters[0], temperature=1.0, seed=11, max_tokens=30, ignore_eos=True)

    first = seeded().tokens
    others = [running.ask([5, 6], adapters[1], temperature=1.3, max_tokens=50, top_p=0.5).begun() for _ in range(2)]
    assert seeded().tokens == first
    assert running.ask(PROMPT, adapters[0], temperature=1.0, seed=12, max_tokens=30).tokens != first
    for reader in others:
        reader.ended()


@pytest.mark.slow
def test_500_requests_with_random_cancels_leave_nothing_behind(running: Running, adapters: list[HostAdapter]) -> None:
    chance = random.Random(5)
    threads = threading.active_count()
    readers: list[Reader] = []
    for number in range(500):
        prompt = [chance.randrange(6, 200) for _ in range(chance.choice([1, 3, 3, 20]))]
        reader = running.ask(
            prompt,
            chance.choice([None, *adapters]),
            client=str(number % 7),
            max_tokens=chance.randint(1, 8),
            temperature=chance.choice([0.0, 1.0]),
            seed=number,
        )
        readers.append(reader)
        if chance.random() < 0.3:
            running.engine.cancel([chance.choice(readers[-20:]).sequence])
    assert {reader.error for reader in readers} == {None}
    assert all(sum(output.is_last for output in reader.outputs) == 1 for reader in readers)
    engine = running.engine
    assert running.between_steps(lambda: (engine.running, engine.decoding, len(engine.waiting))) == ([], 0, 0)
    assert [slot.users for slot in engine.slots.slots] == [0, 0]
    assert (engine.stats().kv_reserved, engine.stats().kv_used) == (0, 0)
    assert threading.active_count() == threads
    ends = engine.counters.completions_by_end
    assert sum(ends.values()) == 500
    assert ends["cancelled"] > 10


def test_closing_ends_what_runs_and_what_waits_with_a_word() -> None:
    with Running(tiny.model(), max_rows=1) as running:
        runs = running.ask(PROMPT, max_tokens=LONG, ignore_eos=True).begun()
        waits = running.ask(PROMPT)
        running.engine.close()
        assert "shutting down" in str(runs.error)
        assert "shutting down" in str(waits.error)
        running.joined()
        assert "shutting down" in str(running.ask(PROMPT).error)  # and so does what comes too late
        assert running.between_steps(lambda: 7) == 7


def test_the_engine_stops_at_the_templates_own_end_of_turn_on_a_base_with_another_end_of_text() -> None:
    """As on bases that were not made for chat but have a chat template (Qwen 2.5)."""
    model, tokenizer = tiny.model(), tiny.tokenizer()
    tokenizer.chat_template = tiny.CHAT_TEMPLATE.replace("</s>", "<|system|>")
    mark = tokenizer.convert_tokens_to_ids("<|system|>")
    with Running(model, tokenizer) as running:
        answer = running.ask(PROMPT, max_tokens=8, logit_bias=((mark, 100.0),))
        assert (answer.end, answer.tokens) == ("stop", [mark])

"""The queue: bounded, fair between clients, in order within one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from core.serving.engine.scheduler import FairQueue, QueueFull


@dataclass(eq=False)
class Entry:
    client: str
    number: int = 0
    prompt_ids: list[int] = field(default_factory=lambda: [1])


def fill(queue: FairQueue[Entry], **counts: int) -> None:
    for client, count in counts.items():
        for number in range(count):
            queue.put([Entry(client, number)])


def served(queue: FairQueue[Entry], places: int) -> list[str]:
    """Who gets rows when `places` are free and no row ends."""
    running: Counter[str] = Counter()
    order = []
    for _ in range(places):
        head = queue.head(running)
        if head is None:
            break
        queue.remove([head])
        running[head.client] += 1
        order.append(f"{head.client}{head.number}")
    return order


def test_one_client_with_50_requests_does_not_starve_another() -> None:
    queue: FairQueue[Entry] = FairQueue(200)
    fill(queue, a=50, b=2)
    assert served(queue, 6) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_a_client_that_has_rows_already_waits_for_one_that_has_none() -> None:
    queue: FairQueue[Entry] = FairQueue(200)
    fill(queue, a=3, b=1)
    head = queue.head(Counter(a=4))
    assert head is not None
    assert head.client == "b"


def test_equal_clients_take_turns() -> None:
    queue: FairQueue[Entry] = FairQueue(200)
    fill(queue, a=2, b=2, c=2)
    running: Counter[str] = Counter()  # rows end at once: nobody has any running
    order = []
    while (head := queue.head(running)) is not None:
        queue.remove([head])
        order.append(head.client)
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_the_bound_holds_and_one_client_cannot_use_it_up() -> None:
    queue: FairQueue[Entry] = FairQueue(10)
    fill(queue, a=5)
    with pytest.raises(QueueFull) as own:
        queue.put([Entry("a")])
    assert own.value.own
    fill(queue, b=4)
    with pytest.raises(QueueFull) as full:
        queue.put([Entry("c"), Entry("c")])  # all or none
    assert (full.value.own, len(queue)) == (False, 9)
    queue.put([Entry("c")])


def test_those_with_an_equally_long_prompt_come_along_in_fair_order() -> None:
    queue: FairQueue[Entry] = FairQueue(100)
    for number in range(3):
        queue.put([Entry("a", number, [1, 2])])
    queue.put([Entry("b", 0, [1, 2, 3])])
    queue.put([Entry("b", 1, [3, 4])])
    head = queue.head(Counter())
    assert head is not None
    group = queue.same_length(head, Counter())
    assert [(entry.client, entry.number) for entry in group] == [("a", 0), ("b", 1), ("a", 1), ("a", 2)]


def test_an_entry_that_is_taken_out_is_gone_and_the_rest_keep_their_order() -> None:
    queue: FairQueue[Entry] = FairQueue(100)
    entries = [Entry("a", number) for number in range(4)]
    queue.put(entries)
    queue.remove([entries[1], entries[1], Entry("z")], served=False)
    assert [entry.number for entry in queue.drain()] == [0, 2, 3]
    assert (len(queue), queue.head(Counter())) == (0, None)

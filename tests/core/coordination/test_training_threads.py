"""Training has all free cores while nobody chats, and one while somebody does."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from core.coordination.training_threads import (
    CROWDED_SECONDS,
    LOOK_SECONDS,
    QUIET_SECONDS,
    TrainingThreads,
    seconds_waited_for_a_core,
)


class Chat:
    """Stands in for ChatActivity, whose answers are set by hand."""

    def __init__(self) -> None:
        self.count = 0

    def answers(self) -> int:
        return self.count


def test_training_leaves_the_cores_to_a_chat_and_takes_them_back_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    chat, threads = Chat(), list[int]()
    choose = TrainingThreads(chat, threads.append, all_threads=8)
    choose()
    choose()
    assert threads == [8]
    chat.count = 2
    choose()
    assert threads == [8, 1]
    chat.count = 0
    now += QUIET_SECONDS - 1  # the answer is being read
    choose()
    assert threads == [8, 1]
    now += 2
    choose()
    assert threads == [8, 1, 8]


def test_a_run_that_may_use_one_core_stays_on_it() -> None:
    chat, threads = Chat(), list[int]()
    choose = TrainingThreads(chat, threads.append, all_threads=1, beside_chat=2)
    for chat.count in (0, 1, 0):
        choose()
    assert threads == [1]


class Machine:
    """A clock, and cores that other programs may have: three of eight threads find none, for as long as they have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.waited, self.lost = 100.0, 0.0, 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds * self.lost


def test_cores_that_others_have_are_left_to_them_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, threads = Machine(monkeypatch), list[int]()
    choose = TrainingThreads(Chat(), threads.append, all_threads=8, waited=lambda: machine.waited)
    choose()
    for machine.lost in (0.1, 3.1, 0.0):  # a little is nothing; with five threads each has a core
        machine.pass_by(LOOK_SECONDS)
        choose()
    assert threads == [8, 5]
    machine.pass_by(CROWDED_SECONDS - 2 * LOOK_SECONDS)
    choose()
    assert threads == [8, 5]
    machine.pass_by(2 * LOOK_SECONDS)
    choose()
    assert threads == [8, 5, 8], "all cores are tried again"
    machine.lost = 9.0
    machine.pass_by(LOOK_SECONDS)
    choose()
    assert threads == [8, 5, 8, 1], "there is always one"


def test_a_short_moment_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, threads = Machine(monkeypatch), list[int]()
    choose = TrainingThreads(Chat(), threads.append, all_threads=2, waited=lambda: machine.waited)
    choose()
    machine.lost = 1.0
    machine.pass_by(LOOK_SECONDS / 2)
    choose()
    assert threads == [2]
    machine.pass_by(LOOK_SECONDS / 2)
    choose()
    assert threads == [2, 1]


@pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="this kernel does not count waiting for a core")
def test_threads_that_share_a_core_are_seen_to_wait_for_it() -> None:
    core = min(os.sched_getaffinity(0))
    waited, stop = [seconds_waited_for_a_core()], threading.Event()

    def work() -> None:
        os.sched_setaffinity(0, {core})  # of this thread alone
        while not stop.is_set():
            hashlib.sha256(bytes(1 << 20))  # without the interpreter's lock

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 60
    while waited[-1] - waited[0] < 0.05 and time.monotonic() < deadline:
        time.sleep(0.01)
        waited.append(seconds_waited_for_a_core())
    stop.set()
    for worker in workers:
        worker.join()
    assert waited[-1] - waited[0] >= 0.05

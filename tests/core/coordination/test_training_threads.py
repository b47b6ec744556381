"""Training has all cores while nobody chats, and one while somebody does."""

from __future__ import annotations

import time

import pytest

from core.coordination.training_threads import QUIET_SECONDS, TrainingThreads


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

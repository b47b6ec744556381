import threading
import time

import pytest

from core.common.home import Home
from core.coordination import training_throttle
from core.coordination.chat_activity import ChatActivity
from core.coordination.training_throttle import TrainingThrottle


class Clock:
    """Time that only passes while one sleeps or works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.work)

    def work(self, seconds: float) -> None:
        self.now += seconds


class Chat:
    """Stands in for ChatActivity: answers are in progress until `until`."""

    def __init__(self, clock: Clock, until: float) -> None:
        self.clock, self.until = clock, until

    def answers(self) -> int:
        return int(self.clock.now < self.until)


def test_training_waits_for_a_short_answer_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    throttle = TrainingThrottle(Chat(clock, until=101.1), share=0.25)
    clock.work(1.0)
    throttle()
    assert clock.now == pytest.approx(101.1, abs=0.01)
    clock.work(1.0)
    throttle()
    assert clock.now == pytest.approx(102.1, abs=0.01)  # nobody chats: no wait


def test_training_gets_its_share_however_long_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    throttle = TrainingThrottle(Chat(clock, until=1e9), share=0.25)
    for _ in range(20):
        clock.work(0.5)
        throttle()
    assert (clock.now - 100) == pytest.approx(20 * 0.5 / 0.25, rel=0.02)
    assert throttle.waited == pytest.approx(30, rel=0.03)


def test_one_wait_is_never_longer_than_a_person_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    throttle = TrainingThrottle(Chat(clock, until=1e9), share=0.25)
    clock.work(600.0)  # a long evaluation
    throttle()
    assert clock.now - 700 == pytest.approx(training_throttle.LONGEST_WAIT, abs=0.01)


def test_a_signal_ends_the_wait(home: Home) -> None:
    activity, asked = ChatActivity(home), threading.Event()
    activity.report(1)

    def should_stop() -> bool:
        asked.set()
        return True

    throttle = TrainingThrottle(activity, share=0.001, should_stop=should_stop)
    throttle._resumed_at -= 100
    before = time.monotonic()
    throttle()
    assert asked.is_set() and time.monotonic() - before < training_throttle.LONGEST_WAIT

import subprocess
import sys
import threading
import time

import pytest

from core.common.home import Home
from core.coordination import chat_activity
from core.coordination.chat_activity import ChatActivity, Turns


def test_what_one_process_says_another_one_reads(home: Home) -> None:
    busy = ChatActivity(home)
    assert busy.rows() == 0
    imports = "import sys; from core.common.home import Home; from core.coordination.chat_activity import Busy"
    say = f"{imports}; Busy(Home.open(sys.argv[1])).mark(3)"
    subprocess.run([sys.executable, "-c", say, str(home.root)], check=True)
    assert busy.rows() == 3
    busy.mark(0)
    assert ChatActivity(home).rows() == 0


def test_an_engine_that_died_is_forgotten(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = ChatActivity(home)
    busy.mark(2)
    later = time.monotonic_ns() + int(chat_activity.FRESH_SECONDS * 1e9)
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    assert busy.rows() == 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: 5)  # the machine was started anew
    assert busy.rows() == 0


class Clock:
    """Time that only passes while one sleeps or works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.work)

    def work(self, seconds: float) -> None:
        self.now += seconds


class Chat:
    """Stands in for the shared memory: answers are in progress until `until`."""

    def __init__(self, clock: Clock, until: float) -> None:
        self.clock, self.until = clock, until

    def rows(self) -> int:
        return int(self.clock.now < self.until)


def test_training_waits_for_a_short_answer_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    turns = Turns(Chat(clock, until=101.1), share=0.25)  # type: ignore[arg-type]
    clock.work(1.0)
    turns()
    assert clock.now == pytest.approx(101.1, abs=0.01)
    clock.work(1.0)
    turns()
    assert clock.now == pytest.approx(102.1, abs=0.01)  # nobody chats: no wait


def test_training_gets_its_share_however_long_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    turns = Turns(Chat(clock, until=1e9), share=0.25)  # type: ignore[arg-type]
    for _ in range(20):
        clock.work(0.5)
        turns()
    assert (clock.now - 100) == pytest.approx(20 * 0.5 / 0.25, rel=0.02)
    assert turns.waited == pytest.approx(30, rel=0.03)


def test_one_wait_is_never_longer_than_a_person_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    turns = Turns(Chat(clock, until=1e9), share=0.25)  # type: ignore[arg-type]
    clock.work(600.0)  # a long evaluation
    turns()
    assert clock.now - 700 == pytest.approx(chat_activity.LONGEST_WAIT, abs=0.01)


def test_a_signal_ends_the_wait(home: Home) -> None:
    busy, asked = ChatActivity(home), threading.Event()
    busy.mark(1)
    turns = Turns(busy, share=0.001, give_up=lambda: asked.set() or True)
    turns._resumed -= 100
    before = time.monotonic()
    turns()
    assert asked.is_set() and time.monotonic() - before < chat_activity.LONGEST_WAIT

"""What a run does before each micro-step, with torch's own threads: a chat takes the cores from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
from core.training.launcher import THREADS_VARIABLE
from core.training.worker import yield_to_chat


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_chat_leaves_a_run_one_thread(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    before_step, _ = yield_to_chat(home, should_stop=lambda: True)
    before_step()
    assert torch.get_num_threads() == 2
    ChatActivity(home).report(1)
    before_step()
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("two_threads")
def test_a_number_of_threads_that_is_asked_for_stays_whoever_chats(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    before_step, _ = yield_to_chat(home, should_stop=lambda: True)
    ChatActivity(home).report(1)
    before_step()
    assert torch.get_num_threads() == 3

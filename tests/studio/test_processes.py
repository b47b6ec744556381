"""The engine's supervisor, with real engine processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.home import Home
from studio.processes import Engine
from tests.app_process import left_behind, poll

WAIT_SECONDS = 240.0


@pytest.fixture
def clean(home: Home) -> Iterator[Home]:
    yield home
    for process in left_behind(home.root):
        process.kill()


def test_an_engine_whose_studio_died_before_it_said_a_word_is_adopted_all_the_same(clean: Home) -> None:
    first = Engine(clean, "builtin")
    first._adopt_or_spawn()  # and here its web process is killed: the engine has only just been started
    assert not first.record_path.exists()
    (started,) = left_behind(clean.root)

    second = Engine(clean, "builtin")
    second.start()
    try:
        assert second.ready.wait(WAIT_SECONDS)
        assert [each.pid for each in left_behind(clean.root)] == [started.pid]
    finally:
        second.stop()
    assert not left_behind(clean.root)

    third = Engine(clean, "builtin")  # the one that has ended does not keep others from starting
    third.start()
    try:
        poll(lambda: third.url is not None, WAIT_SECONDS, "another engine to listen")
    finally:
        third.stop()


def test_a_studio_that_ends_at_once_takes_the_engine_along_that_its_forerunner_started(clean: Home) -> None:
    Engine(clean, "builtin")._adopt_or_spawn()
    second = Engine(clean, "builtin")
    second.start()
    second.stop()
    assert not left_behind(clean.root)

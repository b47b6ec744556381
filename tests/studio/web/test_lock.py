"""One studio per home folder."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.web.lock import WebLock


def test_a_second_studio_is_refused_and_told_where_the_first_is_and_may_come_when_it_has_ended(home: Home) -> None:
    first, second = WebLock(home), WebLock(home)
    first.acquire("http://127.0.0.1:7860")
    with pytest.raises(UserError, match=r"pid \d+\) already uses .*Open http://127.0.0.1:7860, end that one first"):
        second.acquire("http://127.0.0.1:7861")
    first.release()
    second.acquire("http://127.0.0.1:7861")
    second.release()


def test_a_second_studio_is_refused_where_the_record_of_the_first_is_damaged(home: Home) -> None:
    first, second = WebLock(home), WebLock(home)
    first.acquire("http://127.0.0.1:7860")
    (home.processes / "web.json").write_text("{")
    with pytest.raises(UserError, match=r"Another Guanaco Studio already uses .*End that one first"):
        second.acquire("http://127.0.0.1:7861")
    first.release()

import subprocess
import sys
import time

import pytest

from core.common.home import Home
from core.coordination import chat_activity
from core.coordination.chat_activity import ChatActivity


@pytest.mark.slow
def test_what_one_process_reports_another_one_reads(home: Home) -> None:
    activity = ChatActivity(home)
    assert activity.answers() == 0
    imports = "import sys; from core.common.home import Home; from core.coordination.chat_activity import ChatActivity"
    say = f"{imports}; ChatActivity(Home.open(sys.argv[1])).report(3)"
    subprocess.run([sys.executable, "-c", say, str(home.root)], check=True)
    assert activity.answers() == 3
    activity.report(0)
    assert ChatActivity(home).answers() == 0


def test_an_engine_that_died_is_forgotten(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    activity = ChatActivity(home)
    activity.report(2)
    later = time.monotonic_ns() + int(chat_activity.FRESH_SECONDS * 1e9)
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    assert activity.answers() == 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: 5)  # the machine was started anew
    assert activity.answers() == 0

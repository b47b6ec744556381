"""What Settings says of the machine where nobody can say it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from studio.settings.machine_facts import read_facts


def test_a_machine_that_takes_too_long_to_look_at_is_told_in_words(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*command: Any, timeout: float, **more: Any) -> None:
        raise subprocess.TimeoutExpired("doctor", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(UserError, match="not examined within 120 seconds") as told:
        read_facts(home)
    assert told.value.remedy

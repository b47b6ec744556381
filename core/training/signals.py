"""How a worker is asked to end."""

from __future__ import annotations

import signal
from types import FrameType

from core.training.launcher import PAUSE, STOP


class StopNow(BaseException):
    """A second signal came while the first was still being obeyed."""


class Signals:
    """SIGTERM and SIGINT ask to stop and keep what was learnt, SIGUSR1 to write a checkpoint and end.

    The first one is only noted, and obeyed after the current step. A second one raises StopNow.
    """

    def __init__(self) -> None:
        self.stop = False
        self.pause = False

    def install(self) -> None:
        for number in (STOP, signal.SIGINT, PAUSE):
            signal.signal(number, self._handle)

    def received(self) -> bool:
        return self.stop or self.pause

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received():
            raise StopNow
        if number == PAUSE:
            self.pause = True
        else:
            self.stop = True

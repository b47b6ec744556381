"""How a worker is asked to end."""

from __future__ import annotations

import signal
from types import FrameType

from core.training.launcher import LEAVE, STOP


class StoppedAtOnce(BaseException):
    """A second signal came while the first was still being obeyed."""


class Signals:
    """SIGTERM and SIGINT ask to stop and keep what was learnt, SIGUSR1 to leave a checkpoint and go.

    The first one is only noted, and obeyed after the current step. A second one raises StoppedAtOnce.
    """

    def __init__(self) -> None:
        self.stop = False
        self.leave = False

    def install(self) -> None:
        for number in (STOP, signal.SIGINT, LEAVE):
            signal.signal(number, self._handle)

    @property
    def any(self) -> bool:
        return self.stop or self.leave

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.any:
            raise StoppedAtOnce
        if number == LEAVE:
            self.leave = True
        else:
            self.stop = True

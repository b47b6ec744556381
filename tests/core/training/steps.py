"""What a run's steps were, and having something happen at one of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.training.events import Progress
from core.training.run import Run
from core.training.trainer import StudioTrainer

Work = Callable[[Run], int]


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events()[0] if isinstance(event, Progress)}


def terminate_twice() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, then: Callable[[], Any]) -> None:
    """Have something happen once, as step number `step` begins."""
    real = StudioTrainer.training_step
    happened: list[int] = []

    def training_step(self: StudioTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step + 1 == step and not happened:
            happened.append(step)
            then()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(StudioTrainer, "training_step", training_step)

"""Measuring this machine's speed from the page: not beside a run, and what went wrong is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training.run import create_run
from core.training.speeds import read_speeds
from core.training.state import RunState
from studio.train.calibration import calibrate


async def collect(said: AsyncIterator[str]) -> list[str]:
    return [phase async for phase in said]


def test_not_while_a_run_trains(home: Home) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate"})
    me = Identity.own()
    with create_run(home, recipe).state_file.locked() as change:
        change.move(RunState.PREPARING, pid=me.pid, started=me.started)
    with pytest.raises(UserError, match="A run is training"):
        asyncio.run(collect(calibrate(home, recipe)))


@pytest.mark.slow
def test_what_stands_in_the_way_is_told(home: Home) -> None:
    with pytest.raises(UserError, match=r"could not be measured.*no dataset called 'nowhere'"):
        asyncio.run(collect(calibrate(home, Recipe.from_dict({"dataset_name": "nowhere"}))))
    assert read_speeds(home) == []

"""Measuring how fast this machine trains a recipe, for the page: a few real steps in a process of their own."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from adapters.common.errors import UserError
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.calibration import MEASURING
from core.training.run import list_runs
from core.training.state import ACTIVE

LONGEST = 600.0  # seconds, the base's loading included
_one_at_a_time = asyncio.Lock()


async def calibrate(home: Home, recipe: Recipe) -> AsyncIterator[str]:
    """Train a few steps and remember the speed in the home folder; what is done at each moment, in words.

    Raises UserError when that cannot be done.
    """
    if any(run.state() in ACTIVE for run in list_runs(home)):
        raise UserError("A run is training, which would be measured too.", "Wait for its end: its own speed counts.")
    if _one_at_a_time.locked():
        raise UserError("The speed is being measured already.", "Wait for it.")
    said: list[str] = []
    async with _one_at_a_time, asyncio.timeout(LONGEST):
        with tempfile.TemporaryDirectory(prefix="guanaco-studio-") as folder:
            file = Path(folder) / "recipe.yaml"
            file.write_text(recipe.to_yaml(), encoding="utf-8")
            command = ["-m", "studio", "plan", str(file), "--calibrate", "--json", "--home", str(home.root)]
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            assert process.stderr is not None
            try:
                async for line in process.stderr:
                    said.append(line.decode(errors="replace").strip())
                    if said[-1].startswith(MEASURING):
                        yield said.pop().removeprefix(MEASURING)
                code = await process.wait()
            except BaseException:
                process.kill()
                await process.wait()
                raise
    if code not in (0, 1):  # 1: measured, though the plan says that it does not fit
        raise UserError(
            " ".join(["The speed could not be measured.", *said[-2:]]), "Start a run: its speed counts as well."
        )

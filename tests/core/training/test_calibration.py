"""Measuring this machine's speed: a few real steps, and nothing of them stays but the speeds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.calibration import calibrate
from core.training.speeds import read_speeds, save_speed

pytestmark = pytest.mark.slow


def test_calibrating_trains_a_few_real_steps(home: Home, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    row = json.dumps({"text": "### Human: Where is the ship?### Assistant: Arr, in the bay."})
    data.write_text(f"{row}\n" * 12)
    settings = {"model_name_or_path": "builtin", "dataset_name": str(data), "per_device_train_batch_size": 2}
    given = Recipe.from_dict(settings | {"eval_fraction": 0.0, "max_length": 100})
    said: list[str] = []
    measured = calibrate(given, home, said.append)
    assert len(measured.tokens_per_second) >= 3 and all(rate > 0 for rate in measured.tokens_per_second)
    costs = measured.costs
    assert costs.preparing and costs.checkpoint and costs.ending and costs.ending > costs.checkpoint
    assert "step 6 of 6" in said and said.index("step 6 of 6") < said.index("saving and answering")
    save_speed(home, measured)
    assert read_speeds(home) == [measured]
    save_speed(home, replace(measured, machine={"processor": "another"}))
    assert read_speeds(home) == [measured]
    assert not list(home.runs.iterdir())
    assert not list(home.adapters.iterdir())

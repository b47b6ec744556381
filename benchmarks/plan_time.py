"""The plan's time against the time that runs take, on the built-in base and the bundled samples.

    python -m benchmarks.plan_time [--from 1] [--to 10] [--home FOLDER]

With a home that is kept, later runs may be measured in another go, each on a quiet machine. First the base is
measured as the studio does it in the background. Then runs with different recipes follow one another, each planned
before it starts with what is known by then, as the Train page plans it. Measured is from the worker's start to the
adapter's being there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common.servers import ROOT, end_on_sigterm
from core.common.home import Home
from core.planner import Gpu, Plan, plan_run
from core.recipes.recipe import Recipe
from core.training.launcher import start_worker
from core.training.run import create_run
from core.training.speeds import known_speeds, read_speeds
from core.training.state import AT_REST, RunState
from studio.cli.plan import count_tokens

LOOK_SECONDS = 0.05
RECIPES: list[dict[str, Any]] = [
    {"dataset_name": "pirate", "max_steps": 20},
    {"dataset_name": "radio", "max_steps": 40, "per_device_train_batch_size": 2},
    {"dataset_name": "pirate", "max_steps": 12, "eval_fraction": 0.0, "save_steps": 3},
    {"dataset_name": "radio", "max_steps": 10, "packing": True, "per_device_train_batch_size": 2},
    {"dataset_name": "pirate", "max_steps": 30, "per_device_train_batch_size": 8, "eval_steps": 5},
    {"dataset_name": "pirate", "max_steps": 20, "lora_r": 64},
    {"dataset_name": "radio", "max_steps": 60, "per_device_train_batch_size": 1, "eval_fraction": 0.0},
    {"dataset_name": "pirate", "max_steps": 15, "gradient_accumulation_steps": 4},
    {"dataset_name": "radio", "max_steps": 20, "sample_prompts": []},
    {"dataset_name": "pirate", "max_steps": 40},
]


def plan(recipe: Recipe, home: Home) -> Plan:
    speeds = partial(known_speeds, home, recipe.model_name_or_path)
    return plan_run(recipe, Gpu.find("cpu"), dataset_lengths=count_tokens(recipe), home=home, speeds=speeds)


def take(recipe: Recipe, home: Home) -> float:
    """Seconds that the run takes. Raises RuntimeError when it leaves no adapter."""
    run = create_run(home, recipe)
    began = time.monotonic()
    worker = start_worker(run)
    while run.state() not in AT_REST and worker.poll() is None:
        time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - began
    worker.wait()
    if run.state() is not RunState.DONE:
        raise RuntimeError(run.log_path.read_text()[-2000:])
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first of the runs below (default: 1)")
    parser.add_argument("--to", dest="last", type=int, default=len(RECIPES), help="the last one (0: measure the base)")
    parser.add_argument("--home", type=Path, help="a folder that is kept (default: one for this time)")
    given = parser.parse_args()
    end_on_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        home = Home.open(given.home or Path(folder))
        if not read_speeds(home):
            began = time.monotonic()
            command = [sys.executable, "-m", "core.training.calibration", "--base", "builtin", "--home", str(home.root)]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            print(f"- measuring the base: {time.monotonic() - began:.0f} s\n")
        print("| recipe | planned | measured | within |\n|:--|--:|--:|:--|")
        chosen, within = RECIPES[given.first - 1 : given.last], 0
        for settings in chosen:
            recipe = Recipe.from_dict(settings)
            planned = plan(recipe, home)
            assert planned.eta_seconds is not None and planned.eta_uncertainty is not None
            seconds = take(recipe, home)
            inside = abs(seconds - planned.eta_seconds) <= planned.eta_uncertainty
            within += inside
            told = f"{planned.eta_seconds:.0f} ± {planned.eta_uncertainty:.0f} s"
            what = ", ".join(f"{name} {value}" for name, value in settings.items())
            print(f"| {what} | {told} | {seconds:.0f} s | {'yes' if inside else 'no'} |", flush=True)
        print(f"\n- within: {within} of {len(chosen)}")


if __name__ == "__main__":
    main()

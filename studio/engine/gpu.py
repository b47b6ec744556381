"""The GPU that runs are planned for, found without bringing torch, or a CUDA context, into the web process."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

from adapters.common.errors import UserError
from core.planner import Gpu

LONGEST_SECONDS = 120
DRIVER = Path("/proc/driver/nvidia")  # there wherever NVIDIA's driver is, in containers too
ASK = (
    "import json, dataclasses; from core.planner.gpus import this_machine; "
    "print(json.dumps(dataclasses.asdict(this_machine())))"
)


@functools.cache
def find_gpu() -> Gpu:
    """The first CUDA GPU, or else the CPU. Takes seconds the first time where there is a GPU: a process asks for it.

    Raises UserError when it does not say.
    """
    if not DRIVER.exists():
        return Gpu.find("cpu")
    command = [sys.executable, "-c", ASK]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=True)
    except subprocess.SubprocessError as error:
        raise UserError(
            "The GPU could not be asked for its memory, so there is no plan.", "See `python -m studio doctor`."
        ) from error
    values = json.loads(answer.stdout)
    values["capability"] = tuple(values["capability"]) if values["capability"] else None
    return Gpu(**values)

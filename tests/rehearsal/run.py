"""Rehearsals as other processes: cases in, reports out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}


def rehearse(what: str, cases: Sequence[dict[str, Any]], tree: Path = ROOT) -> list[dict[str, Any]]:
    """The report of each case, "training" or "engine", by the code that lies in `tree`. A case that raised has the key
    `raised`. Raises RuntimeError with the end of the log when the process ends before the last case."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.rehearsal", what],
        input="\n".join(map(json.dumps, cases)),
        capture_output=True,
        text=True,
        cwd=tree,
        env=os.environ | QUIET | {"PYTHONPATH": str(tree)},
    )
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"case"')]
    if len(reports) < len(cases):
        raise RuntimeError(f"the rehearsal ended early: {done.stderr[-3000:]}")
    return reports

"""What `python -m studio doctor` finds about this machine, asked in another process: torch stays out of this one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from adapters.common.errors import UserError
from core.common.home import Home

LONGEST_SECONDS = 120


def read_facts(home: Home) -> dict[str, Any]:
    """Takes seconds. Raises UserError when the process fails, or takes too long."""
    command = [sys.executable, "-m", "studio", "doctor", "--json", "--home", str(home.root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
        facts: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"The machine was not examined within {LONGEST_SECONDS} seconds: it is busy, or its device hangs.",
            "Open this page again later, or see `python -m studio doctor`.",
        ) from None
    except json.JSONDecodeError:
        raise UserError("The machine could not be examined.", "See `python -m studio doctor`.") from None
    if error := facts.get("error"):
        raise UserError(error["message"], error["remedy"])
    return facts

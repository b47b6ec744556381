"""Rehearses cases, given as JSON lines on the standard input, and prints one JSON line for each.

    python -m tests.rehearsal training|engine < CASES

The shim is loaded before anything imports torch, so this is a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
import traceback

from tests.rehearsal import shim


def main(what: str) -> None:
    shim.load()
    if what == "training":
        from tests.rehearsal.training import rehearse
    else:
        from tests.rehearsal.engine import rehearse
    for line in sys.stdin:
        case = json.loads(line)
        began = time.perf_counter()
        try:
            report = rehearse(case)
        except Exception as error:
            report = {"raised": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc(limit=-8)}
        seconds = round(time.perf_counter() - began, 1)
        print(json.dumps({"case": case, "seconds": seconds} | report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

"""`make bench`: every benchmark that a CPU can run, one after the other; `make bench ARGS=engine` for one of them.

Each is a module with a docstring that says what it compares, and prints its own table. Those in benchmarks/gpu need a
CUDA card and are run by hand: `python -m benchmarks.gpu.engine`.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(chosen: list[str]) -> int:
    known = names()
    if unknown := [name for name in chosen if name not in known]:
        print(f"There is no benchmark {', '.join(unknown)}. Known: {', '.join(known)}.", file=sys.stderr)
        return 2
    for name in chosen or known:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

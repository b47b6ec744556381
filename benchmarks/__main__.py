"""`make bench`: every benchmark that a CPU can run, one after the other; `make bench ARGS=engine` for one of them.

    python -m benchmarks [NAME ...] [--against FOLDER] [--rounds 3]

Each is a module with a docstring that says what it compares, and prints its own table. Those in benchmarks/gpu need a
CUDA card, and are what `make bench-gpu` runs. Peers are compared with where `make bench-peers` has
made them. `--against FOLDER` compares with another working tree of the project, such as
`git worktree add FOLDER COMMIT` makes: each tree runs the same benchmark by turns, and each cell has what this tree and
the other one gave, and the ratio. Benchmarks that look at one part of this tree alone are left out then.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.common.servers import ROOT, end_on_sigterm
from benchmarks.common.trees import compare
from benchmarks.peers.places import BASE, missing

HERE = Path(__file__).parent
TRAINING_PEERS = ["--base", str(BASE), "--threads", "2", "--ways", "plain", "studio", "packed", "llama-factory"]
ON_A_CARD = "gpu"
TWO_TREES = ("start", "peers")  # have an --against of their own
ONE_ROUND = {
    "engine": ["--rounds", "1"],
    "engine_load": ["--seconds", "20"],
    "kv_cache": ["--rounds", "1"],
    "training": ["--rounds", "1", "--steps", "20", "--ways", "studio", "packed"],
    "yielding": ["--rounds", "1"],
}
"""What a benchmark is given to be run once in either tree."""


def names() -> list[str]:
    modules = [path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_")]
    return sorted([*modules, *({path.parent.name for path in HERE.glob("*/__main__.py")} - {ON_A_CARD})])


def commands(name: str, against: Path | None, rounds: int) -> list[list[str]]:
    """The words that a benchmark is given, once for each time that it is run."""
    if name == "training":
        return [[], *([TRAINING_PEERS] if BASE.exists() else [])]
    return [["--against", str(against), "--rounds", str(rounds)] if against else []]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--against", type=Path, help="another working tree of the project")
    parser.add_argument("--rounds", type=int, default=3, help="with --against")
    given = parser.parse_args(words)
    known = names()
    if unknown := [name for name in given.names if name not in known]:
        print(f"There is no benchmark {', '.join(unknown)}. Known: {', '.join(known)}.", file=sys.stderr)
        return 2
    end_on_sigterm()
    failed = []
    for name in given.names or known:
        print(f"\n== {name}", flush=True)
        if name == "peers" and not BASE.exists():
            print(f"left out: {missing(BASE)}")
        elif given.against and name in ONE_ROUND:
            for line in compare(name, ONE_ROUND[name], given.against.resolve(), given.rounds):
                print(line, flush=True)
        elif given.against and name not in TWO_TREES:
            print("left out: it looks at one part of this tree alone")
        else:
            for options in commands(name, given.against, given.rounds):
                run = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], cwd=ROOT)
                failed += [name] if run.returncode else []
    if failed:
        print(f"\nNot completed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

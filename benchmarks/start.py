"""How long a start takes: from the command to the page, to a ready engine, and to the first answer.

A studio is started as a person starts it, on a fresh home folder (the base is quantised, checked and kept) and then
again on the same one (it is found in the cache). `--against FOLDER` does the same with another working tree of the
project, turn by turn, so that both see the same machine. `--base` is as for the studio.

    python -m benchmarks.start [--base FOLDER] [--against FOLDER] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from benchmarks.common.servers import found_anywhere

HERE = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
MOMENTS = ("address printed", "page", "engine ready", "first answer")
LIMIT = 300  # seconds
PAUSE = 0.02  # seconds between two looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=found_anywhere, default="builtin")
    parser.add_argument("--against", type=Path, help="another working tree of the project")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    trees = {"this tree": HERE} | ({"the other": arguments.against.resolve()} if arguments.against else {})
    seconds: dict[tuple[str, str], list[list[float]]] = {}
    for _ in range(arguments.rounds):
        for name, tree in trees.items():
            with tempfile.TemporaryDirectory() as folder:
                for cache in ("fresh home", "from the cache"):
                    seconds.setdefault((name, cache), []).append(start(tree, Path(folder), arguments.base))
    print(f"seconds from the command, medians of {arguments.rounds}; base {arguments.base}\n")
    print(f"| | {' | '.join(MOMENTS)} |\n|---|{'---|' * len(MOMENTS)}")
    for (name, cache), rounds in sorted(seconds.items(), key=lambda item: item[0][1]):
        medians = [statistics.median(moment) for moment in zip(*rounds, strict=True)]
        print(f"| {cache}, {name} | {' | '.join(f'{median:.1f}' for median in medians)} |")


def start(tree: Path, home: Path, base: str) -> list[float]:
    """Seconds from the command to each of MOMENTS."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "studio", "serve", "--port", "0", "--home", str(home), "--base", base]
    began = time.monotonic()
    with (home / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        url = next(found[0] for line in process.stdout if (found := ADDRESS.search(line)))
        moments = [time.monotonic() - began]
        threading.Thread(target=process.stdout.read, daemon=True).start()
        with httpx.Client(base_url=url, timeout=LIMIT, trust_env=False) as client:
            client.get("/").raise_for_status()
            moments.append(time.monotonic() - began)
            while client.get("/v1/models").status_code != 200:
                assert process.poll() is None and time.monotonic() - began < LIMIT, "the studio did not start"
                time.sleep(PAUSE)
            moments.append(time.monotonic() - began)
            question = {"model": "base", "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 1}
            client.post("/v1/chat/completions", json=question).raise_for_status()
            moments.append(time.monotonic() - began)
        return moments
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


if __name__ == "__main__":
    main()

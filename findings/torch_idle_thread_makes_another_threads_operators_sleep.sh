#!/usr/bin/env bash
# torch 2.13.0 (CPU wheel, which brings libgomp): once two Python threads have each run one operator on several cores,
# every later operator of either is slower, although the other thread does nothing any more. Each thread on which torch
# has calculated keeps a team of OpenMP workers for as long as the thread lives. While the process has more workers than
# cores, libgomp lets a worker that waits go to sleep almost at once (its "throttled" spin count) and wakes it by a
# system call at the next operator; before that it waits awake. OMP_WAIT_POLICY and GOMP_SPINCOUNT do not change this:
# they set the other count.
# Small operators in a row are hit hardest: products of 576 x 576 took 1.4 times as long on 2 cores.
# Seen here as the times that the calculating thread goes to sleep, which does not depend on how fast a machine is.
# So a program that calculates on one thread lets others calculate only on threads that end, or in other processes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import os
import resource
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import torch

CORES = len(os.sched_getaffinity(0))
assert CORES >= 2, "one core has no teams"
torch.set_num_threads(CORES)
weights = [torch.randn(576, 576) for _ in range(120)]
row = torch.randn(8, 576)


def sleeps() -> int:
    """How often the thread that calls this has gone to sleep by itself."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def calculate(rounds: int = 20) -> tuple[float, float]:
    """Milliseconds and sleeps of one round of small products, the medians."""
    times, counts = [], []
    for _ in range(rounds):
        before, began = sleeps(), time.perf_counter()
        for weight in weights:
            torch.relu(torch.mm(row, weight))
        times.append(1000 * (time.perf_counter() - began))
        counts.append(sleeps() - before)
    return statistics.median(times), statistics.median(counts)


calculate()
with ThreadPoolExecutor(1) as other:
    alone = calculate()
    other.submit(calculate, 1).result()  # from here on it is idle
    beside = calculate()
after = calculate()
print(f"torch {torch.__version__}, {CORES} cores, {len(weights)} products: ms and sleeps")
for name, (milliseconds, count) in {
    "one thread has calculated": alone,
    "another has, too, and is idle": beside,
    "the other has ended": after,
}.items():
    print(f"  {name}: {milliseconds:.1f} ms, {count:.0f} sleeps")
assert beside[1] > 5 * (alone[1] + 5), "an idle thread no longer makes the other's operators sleep"
assert after[1] * 5 < beside[1], "the effect outlives the thread"
PYTHON
echo "As described."

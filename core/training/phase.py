"""What a worker is doing at this moment, how far that is, and how long the run still takes: phase.json in its folder.

The page reads it. It is replaced twice a second at the most, and is as good as gone once the worker has ended.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import fmean

from pydantic import TypeAdapter

from adapters.common.damaged_files import ensure_plain
from core.common.json_records import Count, Moment, read_record
from core.training.run import Run

TRAINING = ""
EVALUATION, CHECKPOINT, SAMPLES = "evaluating", "saving a checkpoint", "answering the sample questions"
BEST, WRITING = "going back to the best weights", "writing the adapter"
BASE_SAMPLES = "asking the base the same questions"
ENDING = (BASE_SAMPLES, SAMPLES, WRITING)
WRITE_SECONDS = 0.5


@dataclass(frozen=True)
class Phase:
    """name: in words; "" between two of them, while steps are trained. done of total: nothing where total is 0.

    left: seconds to the end of the run as they were known at the moment `at`.
    """

    name: str
    at: Moment
    done: Count = 0
    total: Count = 0
    left: float | None = None

    def left_at(self, now: float) -> float | None:
        """Seconds left at a later moment: fewer, but never less than none."""
        return None if self.left is None else max(0.0, self.left - max(0.0, now - self.at))


_PHASE = TypeAdapter(Phase)


def read_phase(run: Run) -> Phase | None:
    """None where the worker has told nothing yet."""
    with suppress(OSError):
        return read_record(run.folder / "phase.json", _PHASE)
    return None


class PhaseReporter:
    """Tells one phase after the other, and learns how long each takes.

    left: seconds to the end of the run beyond the phase at work and those announced; None while nothing is known.
    guesses: seconds of phases of which this run has had none yet.
    """

    def __init__(self, run: Run, left: Callable[[], float | None], guesses: dict[str, float] | None = None) -> None:
        self._path = run.folder / "phase.json"
        self._beyond = left
        self.guesses = dict(guesses or {})
        self.durations: defaultdict[str, list[float]] = defaultdict(list)
        self._announced: list[str] = []
        self.name, self._done, self.total = TRAINING, 0, 0
        self._began = time.monotonic()
        self._written = 0.0

    def announce(self, names: Iterable[str]) -> None:
        """These come next, one after the other, before any further step."""
        self._announced = list(names)

    def begin(self, name: str, total: int = 0) -> None:
        now = time.monotonic()
        if self.name != TRAINING:
            self.durations[self.name].append(now - self._began)
        if name in self._announced:
            del self._announced[: self._announced.index(name) + 1]
        elif name == TRAINING:
            self._announced = []
        self.name, self._done, self.total, self._began = name, 0, total, now
        self.write()

    def advance(self, done: int | None = None) -> None:
        """One more is done, or so many."""
        self._done = self._done + 1 if done is None else done
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self.write()

    def expected(self, name: str) -> float:
        """Seconds that a phase takes, as it did so far."""
        known = self.durations.get(name)
        return fmean(known) if known else self.guesses.get(name, 0.0)

    def left(self) -> float | None:
        beyond = self._beyond()
        if beyond is None:
            return None
        beyond += sum(map(self.expected, self._announced))
        if self.name == TRAINING:
            return beyond
        passed = time.monotonic() - self._began
        whole = max(self.expected(self.name), passed)
        if self._done and self.total:
            whole = passed * self.total / self._done
        return beyond + whole - passed

    def write(self) -> None:
        left = self.left()
        phase = Phase(self.name, time.time(), self._done, self.total, None if left is None else round(left, 1))
        self._written = time.monotonic()
        # Not write_atomic: it is written twice a second, and nothing is lost with it, so it does not wait for the disk.
        with suppress(OSError):  # the disk is full: the run may yet end well
            unfinished = ensure_plain(self._path.with_suffix(".new"))
            unfinished.write_text(json.dumps(asdict(phase)), encoding="utf-8")
            unfinished.replace(self._path)

"""Decode steps that are recorded once and replayed: on a GPU one launch instead of one for every operator.

A recording repeats the same operators on the same memory. So everything that may change between two steps lies in
memory that does not move (the input tokens, keys and values, the slots), and everything else that a step depends on is
its key: which ranges of the cache are read and how far, which slots are calculated.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeAlias

import torch
from torch import Tensor

MAX_RECORDINGS = 64  # recordings; the least recently used is dropped first
MAX_SEEN = 4096  # keys that are remembered although nothing is recorded under them yet
REFUSED_RECORDING = range(900, 909)  # cudaErrorStreamCapture…: the device itself is well

Work: TypeAlias = Callable[[], Tensor]
Recorder: TypeAlias = Callable[[Work], Work]
"""Takes work and returns what does the same again; the result is always the same tensor, overwritten."""

log = logging.getLogger(__name__)


class CudaGraphs:
    """Recordings by key. Recording stops for good when one does not return what the plain step returns."""

    def __init__(self, record: Recorder) -> None:
        self._record = record
        self._seen: set[Hashable] = set()
        self._recordings: OrderedDict[Hashable, Work] = OrderedDict()
        self.replays = 0
        self.disabled_reason = ""
        """Why nothing is recorded any more; empty while recording goes on."""

    def run(self, key: Hashable, work: Work) -> Tensor:
        """The result of `work`, which must be idempotent: run twice, it leaves the same state as run once.

        The first call with a key runs the work plainly (kernels are chosen and workspaces allocated then). The second
        runs it plainly and records it, if the recording gives exactly the same. From then on it is replayed.
        """
        if replay := self._recordings.get(key):
            self._recordings.move_to_end(key)
            self.replays += 1
            return replay().clone()
        result = work()
        if key in self._seen and not self.disabled_reason:
            self._record_checked(key, work, result)
        if len(self._seen) == MAX_SEEN:
            self._seen.clear()
        self._seen.add(key)
        return result

    def clear(self) -> None:
        """Drop all recordings, when memory that they use has moved."""
        self._seen.clear()
        self._recordings.clear()

    def _record_checked(self, key: Hashable, work: Work, result: Tensor) -> None:
        try:
            replay = self._record(work)
            if not torch.allclose(replay(), result, rtol=0, atol=0, equal_nan=True):
                raise RuntimeError("its numbers differ from the plain step's")
        except RuntimeError as error:
            code = getattr(error, "error_code", None)
            if isinstance(error, torch.AcceleratorError) and code not in REFUSED_RECORDING:
                raise  # nothing on the device can be trusted any more
            self.disabled_reason = f"a recorded step is not right here: {error}"
            log.warning("decode steps are no longer recorded: %s", error)
            self.clear()
            return
        self._recordings[key] = replay
        if len(self._recordings) > MAX_RECORDINGS:
            self._recordings.popitem(last=False)


class CudaRecorder:
    """CUDA graphs, all in one pool of memory: they never run side by side, and results are copied before the next."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        # Other threads read adapters meanwhile and may allocate pinned memory; that is no part of the recording.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = work()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

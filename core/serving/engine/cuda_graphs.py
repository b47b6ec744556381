"""Decode steps that are recorded once and replayed: on a GPU one launch instead of one for every operator.

A recording does the same operators on the same memory again. So everything that may change between two steps lies in
memory that stays where it is (the tokens that are fed, keys and values, the slots), and everything else that a step
depends on is its key: how many rows, how far the cache is read, which slots are calculated.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeAlias

import torch
from torch import Tensor

KEPT = 64  # recordings; the one longest unused goes first
REFUSED_RECORDING = range(900, 909)  # cudaErrorStreamCapture…: the device itself is well

Work: TypeAlias = Callable[[], Tensor]
Recorder: TypeAlias = Callable[[Work], Work]
"""Takes work and returns what does the same again; the result is always the same tensor, overwritten."""

log = logging.getLogger(__name__)


class Graphs:
    """Recordings by key. One that does not give what the plain step gives ends all recording."""

    def __init__(self, record: Recorder) -> None:
        self._record = record
        self._seen: set[Hashable] = set()
        self._kept: OrderedDict[Hashable, Work] = OrderedDict()
        self.replays = 0
        self.given_up = ""
        """Why nothing is recorded any more; empty while it is."""

    def run(self, key: Hashable, work: Work) -> Tensor:
        """What `work` returns. It must be repeatable: done twice it leaves the same behind as done once.

        The first time a key comes, the work is done plainly (kernels are chosen and workspaces allocated then); the
        second time plainly and recorded, if the recording gives the very same; from then on it is replayed.
        """
        if replay := self._kept.get(key):
            self._kept.move_to_end(key)
            self.replays += 1
            return replay().clone()
        result = work()
        if key in self._seen and not self.given_up:
            self._keep(key, work, result)
        self._seen.add(key)
        return result

    def forget(self) -> None:
        """Drop all recordings: memory that they use is no longer what it was."""
        self._seen.clear()
        self._kept.clear()

    def _keep(self, key: Hashable, work: Work, result: Tensor) -> None:
        try:
            replay = self._record(work)
            if not torch.allclose(replay(), result, rtol=0, atol=0, equal_nan=True):
                raise RuntimeError("its numbers differ from the plain step's")
        except RuntimeError as error:
            code = getattr(error, "error_code", None)
            if isinstance(error, torch.AcceleratorError) and code not in REFUSED_RECORDING:
                raise  # nothing on the device can be trusted any more
            self.given_up = f"a recorded step is not right here: {error}"
            log.warning("decode steps are no longer recorded: %s", error)
            self.forget()
            return
        self._kept[key] = replay
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


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

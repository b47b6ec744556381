"""Several answers that stream at once: one request per answer, merged into one stream of snapshots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.common.errors import UserError
from studio.engine.client import Delta

log = logging.getLogger(__name__)

FRAME_SECONDS = 0.05  # snapshots come no faster than the page can draw them


@dataclass(frozen=True)
class StreamedAnswer:
    """An answer as far as it has come. model: who answers, as the engine reports it; "" before the first token."""

    text: str = ""
    model: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    done: bool = False

    @property
    def is_cut_off(self) -> bool:
        """Whether the answer ended at the length limit, so that the model can continue it."""
        return self.finish_reason == "length"

    def plus(self, delta: Delta) -> StreamedAnswer:
        return replace(
            self,
            text=self.text + delta.text,
            model=delta.model or self.model,
            finish_reason=delta.finish_reason or self.finish_reason,
            usage=delta.usage or self.usage,
            timings=delta.timings or self.timings,
        )


async def merge_streams(
    streams: Sequence[AsyncIterator[Delta]], frame: float = FRAME_SECONDS
) -> AsyncGenerator[list[StreamedAnswer], None]:
    """Read all streams at once; yield a snapshot of all answers whenever something came. The last one is complete.

    A stream that fails ends its own answer with the error, and no other. Closing this iterator closes all streams.
    """
    answers = [StreamedAnswer() for _ in streams]
    changed = asyncio.Event()

    async def read(index: int, stream: AsyncIterator[Delta]) -> None:
        try:
            async for delta in stream:
                answers[index] = answers[index].plus(delta)
                changed.set()
        except UserError as error:
            answers[index] = replace(answers[index], error=str(error))
        except Exception:
            log.exception("answer %d failed", index)
            answers[index] = replace(answers[index], error="This answer failed; the studio's log says why.")
        finally:
            answers[index] = replace(answers[index], done=True)
            changed.set()

    tasks = [asyncio.create_task(read(index, stream)) for index, stream in enumerate(streams)]
    try:
        while True:
            await changed.wait()
            changed.clear()
            snapshot = list(answers)
            yield snapshot
            if all(answer.done for answer in snapshot):
                return
            await asyncio.sleep(frame)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

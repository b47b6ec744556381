"""Several answers to one question, streamed at once: one request per column, one merged stream of snapshots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.common.errors import UserError
from studio.engine.client import Delta

log = logging.getLogger(__name__)

FRAME_SECONDS = 0.05  # snapshots of one column come no faster than the page can draw them


@dataclass(frozen=True)
class Answer:
    """What one column shows so far. `model` is who answers, as the engine reports it; "" before the first token."""

    text: str = ""
    model: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    done: bool = False

    @property
    def unfinished(self) -> bool:
        """Whether there is more to say: the answer ended at the length limit."""
        return self.finish_reason == "length"

    def plus(self, delta: Delta) -> Answer:
        return replace(
            self,
            text=self.text + delta.text,
            model=delta.model or self.model,
            finish_reason=delta.finish_reason or self.finish_reason,
            usage=delta.usage or self.usage,
            timings=delta.timings or self.timings,
        )


async def stream_columns(
    streams: Sequence[AsyncIterator[Delta]], frame: float = FRAME_SECONDS
) -> AsyncGenerator[list[Answer], None]:
    """Drain all streams at once; yield a snapshot of all columns whenever something came, the last one complete.

    A stream that fails ends its own column with the error, and no other. Closing this iterator closes all streams.
    """
    answers = [Answer() for _ in streams]
    changed = asyncio.Event()

    async def drain(column: int, stream: AsyncIterator[Delta]) -> None:
        try:
            async for delta in stream:
                answers[column] = answers[column].plus(delta)
                changed.set()
        except UserError as error:
            answers[column] = replace(answers[column], error=str(error))
        except Exception:
            log.exception("column %d failed", column)
            answers[column] = replace(answers[column], error="This answer failed; the studio's log says why.")
        finally:
            answers[column] = replace(answers[column], done=True)
            changed.set()

    tasks = [asyncio.create_task(drain(column, stream)) for column, stream in enumerate(streams)]
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

"""One thread that owns the model: commands, a chunk of prefill, one decode step over all rows, and again."""

from __future__ import annotations

import logging
import queue
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import torch

from adapters.common.errors import UserError
from core.serving.engine.forward import Forward, Outcome
from core.serving.engine.sampling import sample
from core.serving.engine.sampling_params import Drawn
from core.serving.engine.scheduler import FairQueue
from core.serving.engine.sequence import Piece, Row
from core.serving.engine.stats import EngineCounters, EngineStats
from core.serving.engine.stream import Decode, TextStream
from core.serving.lora.slots import HostAdapter

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Engine:
    """Rows in, pieces out. `submit`, `cancel`, `call` and `close` may be called from any thread; `run` is the loop.

    Rows 0..decoding-1 of the cache are decoding; the rows behind them are one group in prefill, all equally far.
    `deliver` gets, once per step and on the engine's thread, all pieces of that step with their rows; `busy` is told
    with each step how many rows there are, 0 at last.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        decode: Decode,
        end_tokens: frozenset[int],
        max_length: int,
        chunk: int = 256,
        max_waiting: int = 256,
        deliver: Callable[[list[tuple[Row, Piece]]], None] | None = None,
        busy: Callable[[int], None] | None = None,
    ) -> None:
        self.forward, self.cache, self.slots = forward, forward.cache, forward.slots
        self.decode_text, self.end_tokens = decode, end_tokens
        self.max_length = min(max_length, self.cache.budget)
        self.chunk = chunk
        self.waiting: FairQueue[Row] = FairQueue(max_waiting)
        self.rows: list[Row] = []
        self.decoding = 0
        self.counters = EngineCounters()
        self.deliver = deliver or deliver_here
        self.busy = busy or _ignored
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._pieces: list[tuple[Row, Piece]] = []
        self._closing = False
        self._stopped = ""  # why the loop has ended

    # Any thread

    def submit(self, rows: list[Row]) -> None:
        """Queue rows of one client. Raises UserError when one can never fit, QueueFull when too many wait."""
        for row in rows:
            self.check(len(row.prompt), row.params.max_tokens)
            row.text = TextStream(self.decode_text, row.params.stop)
        self.waiting.put(rows)
        self._commands.put(_nothing)
        if self._stopped:
            self._leave()

    def check(self, prompt: int, max_tokens: int) -> None:
        """Raise UserError unless a prompt of that many tokens, and as many new ones, can ever be held."""
        if prompt == 0:
            raise UserError("The prompt is empty.", "Send at least one token.")
        if prompt + max_tokens > self.max_length or not self.cache.can_hold(1, prompt + max_tokens):
            raise UserError(
                f"The prompt has {prompt} tokens and up to {max_tokens} more are asked for, {prompt + max_tokens} in "
                f"all; this engine holds at most {self.max_length} per conversation.",
                "Shorten the conversation or ask for fewer tokens.",
            )

    def stats(self) -> EngineStats:
        """How full the engine is, as of a copy of its rows."""
        rows = list(self.rows)
        return EngineStats(
            running=len(rows),
            waiting=len(self.waiting),
            max_length=self.max_length,
            kv_budget=self.cache.budget,
            kv_reserved=sum(row.reserved for row in rows),
            kv_used=sum(row.cached for row in rows),
            counters=self.counters,
        )

    def cancel(self, rows: list[Row]) -> None:
        """End rows before the next step; they get a last piece with finish_reason "cancelled"."""
        self._commands.put(lambda: self._cancel(rows))

    def call(self, function: Callable[[], Result]) -> Future[Result]:
        """Run `function` on the engine's thread between two steps."""
        future: Future[Result] = Future()

        def command() -> None:
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        self._commands.put(command)
        if self._stopped:
            self._leave()
        return future

    def install(self, adapter: HostAdapter) -> Future[int | None]:
        """Copy an adapter into a slot between two steps; the result is the slot, None while all slots are in use."""
        return self.call(lambda: self._timed_install(adapter))

    def retire(self, adapter: HostAdapter) -> Future[None]:
        """Free the adapter's slot as soon as no row uses it."""
        return self.call(lambda: self.slots.retire(adapter))

    def close(self) -> None:
        """Let `run` return after the step in progress; all rows then end with an error."""

        def command() -> None:
            self._closing = True

        self._commands.put(command)

    # The engine's thread

    @torch.inference_mode()
    def run(self) -> None:
        """The loop. An exception that leaves it is a fault of the device or a bug: the process should end."""
        try:
            while not self._closing:
                self._drain()
                self._admit()
                self._prefill()
                self._decode()
                self.busy(len(self.rows))
                self._flush()
        except BaseException:
            self._abandon("The engine has failed; its log says why.")
            raise
        self._abandon("The engine is shutting down.")

    def _drain(self) -> None:
        """Run the commands that have come in; with nothing else to do, wait for one."""
        block = not self.rows and not len(self.waiting)
        while True:
            try:
                command = self._commands.get(block=block)
            except queue.Empty:
                return
            block = False
            command()

    def _admit(self) -> None:
        """Let the next waiting rows in as one prefill group: the fair choice, and all with a prompt as long as its."""
        if len(self.rows) > self.decoding or len(self.rows) == self.cache.max_rows:
            return
        running = Counter(row.client for row in self.rows)
        head = self.waiting.head(running)
        if head is None:
            return
        used = [row.cached for row in self.rows]
        for row in self.waiting.like(head, running):
            longest = max(row.reserved, *(other.reserved for other in self.rows)) if self.rows else row.reserved
            if not self.cache.can_hold(len(self.rows) + 1, longest):
                break
            try:
                slot = self._acquire(row)
            except torch.OutOfMemoryError as error:
                self.waiting.remove([row])
                self._end(row, Piece(error=f"The adapter does not fit the device's memory: {error}"))
                continue
            if slot is None:
                break
            row.slot = slot
            row.admitted = time.perf_counter()
            self.counters.queue_seconds.observe(row.admitted - row.arrived)
            self.waiting.remove([row])
            self.rows.append(row)
        if len(self.rows) > self.decoding:
            self.cache.arrange(len(self.rows), max(row.reserved for row in self.rows), used)

    def _prefill(self) -> None:
        """One chunk for the group in prefill; after the last one its rows draw their first token and decode."""
        group = self.rows[self.decoding :]
        if not group:
            return
        start, length = group[0].cached, len(group[0].prompt)
        stop = min(length, start + max(1, self.chunk // len(group)))
        done = self.forward.chunk(group, self.decoding, start, stop)
        for row in done.rows:
            row.cached = stop
        self.counters.prompt_tokens += len(done.rows) * (stop - start)
        self._fail(done.failed)
        if stop == length:
            self.decoding = len(self.rows)
            self._draw(done)

    def _decode(self) -> None:
        """One step: every decoding row reads its last token and draws the next."""
        if not self.decoding:
            return
        started = time.perf_counter()
        done = self.forward.step(self.rows[: self.decoding], 0)
        self.counters.forward_seconds += time.perf_counter() - started
        for row in done.rows:
            row.cached += 1
        self._fail(done.failed)
        self._draw(done)
        self.counters.steps += 1
        self.counters.step_seconds += time.perf_counter() - started

    def _draw(self, done: Outcome) -> None:
        """Draw each row's next token and hand it on; rows that end leave."""
        if done.logits is None:
            return
        drawn_tokens = sample(done.logits, [row.sampler for row in done.rows])
        now = time.perf_counter()
        for row, drawn in zip(done.rows, drawn_tokens, strict=True):
            if row.first_token is None:
                row.first_token = now
                self.counters.first_token_seconds.observe(now - row.arrived)
            elif row.last_token is not None:
                self.counters.token_seconds.observe(now - row.last_token)
            row.last_token = now
            if drawn is None:
                self._finish(row, Piece(error="The model's output is not a number for this row."))
                continue
            try:
                piece = self._advance(row, drawn)
            except Exception as error:
                self._fail([(row, error)])
                continue
            if piece.last:
                self._finish(row, piece)
            elif piece.text or row.params.logprobs is not None:
                self._pieces.append((row, piece))

    def _advance(self, row: Row, drawn: Drawn) -> Piece:
        """Append a token to its row: what the reader gets for it."""
        row.output.append(drawn.token)
        self.counters.output_tokens += 1
        params = row.params
        if drawn.token in params.stop_token_ids or (drawn.token in self.end_tokens and not params.ignore_eos):
            return Piece(row.text.finish(), drawn, "stop")
        text = row.text.add(drawn.token)
        if not row.text.stopped and len(row.output) >= params.max_tokens:
            text += row.text.finish()
            return Piece(text, drawn, "stop" if row.text.stopped else "length")
        return Piece(text, drawn, "stop" if row.text.stopped else None)

    def _fail(self, failed: list[tuple[Row, Exception]]) -> None:
        for row, error in failed:
            log.error("a row has failed: %s", error, exc_info=error)
            self._finish(row, Piece(error="This completion has failed; the log of the engine says why."))

    def _cancel(self, rows: list[Row]) -> None:
        self.waiting.remove(rows, served=False)
        for row in rows:
            if row in self.rows:
                self._finish(row, Piece(finish_reason="cancelled"))
            elif not row.done:
                self._end(row, Piece(finish_reason="cancelled"))

    def _finish(self, row: Row, piece: Piece) -> None:
        """Take a row out and close the gap: by the last decoding row, and its place by the last row of all."""
        index = self.rows.index(row)
        if piece.finish_reason not in ("stop", "length"):
            self.cache.wipe(index)
        ends = [self.decoding - 1] if index < self.decoding else []
        for end in (*ends, len(self.rows) - 1):
            if end > index:
                self.cache.move(end, index, self.rows[end].cached)
                self.rows[index] = self.rows[end]
                index = end
        self.rows.pop()
        self.decoding -= len(ends)
        self.slots.release(row.slot)
        self._end(row, piece)

    def _end(self, row: Row, piece: Piece) -> None:
        row.done = True
        self.counters.rows_by_end[piece.finish_reason or "error"] += 1
        self._pieces.append((row, piece))

    def _acquire(self, row: Row) -> int | None:
        before, started = self.slots.installs, time.perf_counter()
        slot = self.slots.acquire(row.adapter)
        if self.slots.installs > before:
            self.counters.install_seconds.observe(time.perf_counter() - started)
        return slot

    def _timed_install(self, adapter: HostAdapter) -> int | None:
        started = time.perf_counter()
        slot = self.slots.install(adapter)
        self.counters.install_seconds.observe(time.perf_counter() - started)
        return slot

    def _flush(self) -> None:
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self.deliver(pieces)

    def _abandon(self, reason: str) -> None:
        """End everything that runs or waits, now and from now on."""
        self._stopped = reason
        for row in self.rows:
            self._end(row, Piece(error=reason))
        self.rows.clear()
        self.decoding = 0
        self.busy(0)
        self._flush()
        self._leave()

    def _leave(self) -> None:
        """Let nobody wait for a loop that has ended: rows get its reason, commands run where they are given."""
        for row in self.waiting.drain():
            row.done = True
            self.deliver([(row, Piece(error=self._stopped))])
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            command()


def deliver_here(pieces: list[tuple[Row, Piece]]) -> None:
    """Hand pieces to their readers on the engine's own thread, for readers that only take note."""
    for row, piece in pieces:
        row.sink(piece)


def _ignored(rows: int) -> None:
    """For engines that share their machine with nobody."""


def _nothing() -> None:
    """A command that only wakes the engine."""

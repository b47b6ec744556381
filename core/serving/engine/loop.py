"""One thread that owns the model: commands, a chunk of prefill, one decode step over all sequences, and again."""

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
from core.serving.engine.forward import Forward, ForwardResult
from core.serving.engine.prefix_cache import PrefixCache, will_share
from core.serving.engine.sampling import sample
from core.serving.engine.sampling_params import SampledToken
from core.serving.engine.scheduler import FairQueue
from core.serving.engine.sequence import RequestOutput, Sequence
from core.serving.engine.stats import EngineCounters, EngineStats
from core.serving.engine.stream import Decode, TextStream
from core.serving.lora.slots import HostAdapter

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Engine:
    """Sequences in, outputs out. Any thread may call `submit`, `cancel`, `call` and `close`; `run` is the loop.

    The first `decoding` of the running sequences are decoding; those behind them are one group in prefill, all equally
    far. `on_outputs` is called once per step, on the engine's thread, with all outputs of that step and their
    sequences; `on_step` is called with each step with the number of running sequences, which is 0 at the end.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        decode: Decode,
        end_tokens: frozenset[int],
        max_length: int,
        prefill_chunk: int = 256,
        max_waiting: int = 256,
        on_outputs: Callable[[list[tuple[Sequence, RequestOutput]]], None] | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self.forward, self.cache, self.slots = forward, forward.cache, forward.slots
        self.decode_text, self.end_tokens = decode, end_tokens
        self.max_length = min(max_length, self.cache.budget)
        self.prefill_chunk = prefill_chunk
        self.prefixes = PrefixCache(self.cache)
        self.waiting: FairQueue[Sequence] = FairQueue(max_waiting)
        self.running: list[Sequence] = []
        self.decoding = 0
        self.counters = EngineCounters()
        self.on_outputs = on_outputs or call_each
        self.on_step = on_step
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outputs: list[tuple[Sequence, RequestOutput]] = []
        self._closing = False
        self._stop_reason = ""  # why the loop has ended

    # Any thread

    def submit(self, sequences: list[Sequence]) -> None:
        """Queue sequences of one client. Raises UserError when one can never fit, QueueFull when too many wait."""
        for sequence in sequences:
            self.check_length(len(sequence.prompt_ids), sequence.params.max_tokens)
            sequence.text = TextStream(self.decode_text, sequence.params.stop)
        self.waiting.put(sequences)
        self._commands.put(_wake_up)
        if self._stop_reason:
            self._release_waiting()

    def check_length(self, prompt: int, max_tokens: int) -> None:
        """Raise UserError unless the cache can ever hold a prompt of that many tokens and as many new ones."""
        if prompt == 0:
            raise UserError("The prompt is empty.", "Send at least one token.")
        if prompt + max_tokens > self.max_length or not self.cache.can_hold(prompt + max_tokens):
            raise UserError(
                f"The prompt has {prompt} tokens and up to {max_tokens} more are asked for, {prompt + max_tokens} in "
                f"all; this engine holds at most {self.max_length} per conversation.",
                "Shorten the conversation or ask for fewer tokens.",
            )

    def stats(self) -> EngineStats:
        """How full the engine is now. Other threads call this, so it works on a copy of the list."""
        running = list(self.running)
        return EngineStats(
            running=len(running),
            waiting=len(self.waiting),
            max_length=self.max_length,
            kv_budget=self.cache.budget,
            kv_reserved=sum(sequence.kv_range.capacity for sequence in running),
            kv_used=sum(sequence.cached for sequence in running),
            kv_kept=self.prefixes.kept_tokens,
            kv_filled=self.cache.filled_tokens,
            kv_bytes_per_token=self.cache.bytes_per_token,
            counters=self.counters,
            repeated_forwards=self.forward.repeated,
        )

    def cancel(self, sequences: list[Sequence]) -> None:
        """End sequences before the next step; their last output has the finish_reason "cancelled"."""
        self._commands.put(lambda: self._cancel(sequences))

    def call(self, function: Callable[[], Result]) -> Future[Result]:
        """Run `function` on the engine's thread between two steps."""
        future: Future[Result] = Future()

        def command() -> None:
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        self._commands.put(command)
        if self._stop_reason:
            self._release_waiting()
        return future

    def install(self, adapter: HostAdapter) -> Future[int | None]:
        """Copy an adapter into a slot between two steps; the result is the slot, None while all slots are in use."""
        return self.call(lambda: self._install(adapter))

    def retire(self, adapter: HostAdapter) -> Future[None]:
        """Free the adapter's slot as soon as no sequence uses it."""
        return self.call(lambda: self.slots.retire(adapter))

    def close(self) -> None:
        """Let `run` return after the step in progress; all sequences then end with an error."""

        def command() -> None:
            self._closing = True

        self._commands.put(command)

    # The engine's thread

    @torch.inference_mode()
    def run(self) -> None:
        """The loop. An exception that leaves it is a fault of the device or a bug: the process should end."""
        if self.forward.compiled is not None:  # torch only samples then; its threads would keep cores from the kernels'
            torch.set_num_threads(1)
        try:
            while not self._closing:
                self._run_commands()
                self._admit()
                self._prefill()
                self._decode()
                self._report_step()
                self._send_outputs()
        except BaseException:
            self._stop("The engine has failed; its log says why.")
            raise
        self._stop("The engine is shutting down.")

    def _run_commands(self) -> None:
        """Run the commands that have arrived; with nothing else to do, wait for one."""
        block = not self.running and not len(self.waiting)
        while True:
            try:
                command = self._commands.get(block=block)
            except queue.Empty:
                return
            block = False
            command()

    def _admit(self) -> None:
        """Admit the next sequences as one prefill group: the fair choice, and all with a prompt of the same length of
        which as much is in the cache. What one of the group is about to read for another, that one waits for."""
        if len(self.running) > self.decoding or len(self.running) == self.cache.max_rows:
            return
        running_per_client = Counter(sequence.client for sequence in self.running)
        head = self.waiting.head(running_per_client)
        if head is None:
            return
        for sequence in self.waiting.same_length(head, running_per_client):
            if len(self.running) == self.cache.max_rows or not self.prefixes.has_room(sequence.reserved):
                break
            group = self.running[self.decoding :]
            prefix = self.prefixes.longest(sequence, self.running)
            if any(member.cached != prefix.length for member in group) or will_share(sequence, group):
                continue
            try:
                slot = self._acquire_slot(sequence)
            except torch.OutOfMemoryError as error:
                self.waiting.remove([sequence])
                self._end(sequence, RequestOutput(error=f"The adapter does not fit the device's memory: {error}"))
                continue
            if slot is None:
                break
            sequence.slot = slot
            self.prefixes.reserve(sequence, prefix)
            self.counters.prefix_queries += len(sequence.prompt_ids)
            self.counters.prefix_hits += prefix.length
            sequence.admitted_at = time.perf_counter()
            self.counters.queue_seconds.observe(sequence.admitted_at - sequence.arrived_at)
            self.waiting.remove([sequence])
            self.running.append(sequence)

    def _prefill(self) -> None:
        """One chunk for the group in prefill; after the last one its sequences sample their first token and decode."""
        group = self.running[self.decoding :]
        if not group:
            return
        start, length = group[0].cached, len(group[0].prompt_ids)
        stop = min(length, start + max(1, self.prefill_chunk // len(group)))
        result = self.forward.chunk(group, start, stop)
        for sequence in result.sequences:
            sequence.cached = stop
        self.counters.prompt_tokens += len(result.sequences) * (stop - start)
        self._fail(result.failed)
        if stop == length:
            self.decoding = len(self.running)
            self._sample(result)

    def _decode(self) -> None:
        """One step: every decoding sequence reads its last token and samples the next."""
        if not self.decoding:
            return
        started = time.perf_counter()
        result = self.forward.step(self.running[: self.decoding])
        self.counters.forward_seconds += time.perf_counter() - started
        for sequence in result.sequences:
            sequence.cached += 1
        self._fail(result.failed)
        self._sample(result)
        self.counters.steps += 1
        self.counters.step_seconds += time.perf_counter() - started

    def _sample(self, result: ForwardResult) -> None:
        """Sample each sequence's next token and pass it on; take out the sequences that end."""
        if result.logits is None:
            return
        tokens = sample(result.logits, [sequence.sampler for sequence in result.sequences])
        now = time.perf_counter()
        for sequence, sampled in zip(result.sequences, tokens, strict=True):
            if sequence.first_token_at is None:
                sequence.first_token_at = now
                self.counters.first_token_seconds.observe(now - sequence.arrived_at)
            elif sequence.last_token_at is not None:
                self.counters.token_seconds.observe(now - sequence.last_token_at)
            sequence.last_token_at = now
            if sampled is None:
                self._finish(sequence, RequestOutput(error="The model's output is not a number for this row."))
                continue
            try:
                output = self._append_token(sequence, sampled)
            except Exception as error:
                self._fail([(sequence, error)])
                continue
            if output.is_last:
                self._finish(sequence, output)
            elif output.text or sequence.params.logprobs is not None:
                self._outputs.append((sequence, output))

    def _append_token(self, sequence: Sequence, sampled: SampledToken) -> RequestOutput:
        """Append a token to its sequence; the result is what the reader gets for it."""
        sequence.output_ids.append(sampled.token)
        self.counters.output_tokens += 1
        params, text_stream = sequence.params, sequence.text
        if sampled.token in params.stop_token_ids or (sampled.token in self.end_tokens and not params.ignore_eos):
            return RequestOutput(text_stream.finish(), sampled, "stop")
        text = text_stream.add(sampled.token)
        if not text_stream.stopped and len(sequence.output_ids) >= params.max_tokens:
            text += text_stream.finish()
            return RequestOutput(text, sampled, "stop" if text_stream.stopped else "length")
        return RequestOutput(text, sampled, "stop" if text_stream.stopped else None)

    def _fail(self, failed: list[tuple[Sequence, Exception]]) -> None:
        for sequence, error in failed:
            log.error("a completion has failed: %s", error, exc_info=error)
            self._finish(sequence, RequestOutput(error="This completion has failed; the log of the engine says why."))

    def _cancel(self, sequences: list[Sequence]) -> None:
        self.waiting.remove(sequences, served=False)
        for sequence in sequences:
            if sequence in self.running:
                self._finish(sequence, RequestOutput(finish_reason="cancelled"))
            elif not sequence.finished:
                self._end(sequence, RequestOutput(finish_reason="cancelled"))

    def _finish(self, sequence: Sequence, output: RequestOutput) -> None:
        """Take a running sequence out."""
        index = self.running.index(sequence)
        del self.running[index]
        self.decoding -= index < self.decoding
        # A token was sampled, so that all keys and values were numbers; after a failure they may not be.
        if output.finish_reason is not None and sequence.output_ids:
            self.prefixes.keep(sequence)
        else:
            self.cache.wipe(sequence.kv_range)
            self.cache.ranges.free(sequence.kv_range)
        self.slots.release(sequence.slot)
        self._end(sequence, output)

    def _end(self, sequence: Sequence, output: RequestOutput) -> None:
        sequence.finished = True
        self.counters.completions_by_end[output.finish_reason or "error"] += 1
        self._outputs.append((sequence, output))

    def _acquire_slot(self, sequence: Sequence) -> int | None:
        before, started = self.slots.installs, time.perf_counter()
        slot = self.slots.acquire(sequence.adapter)
        if self.slots.installs > before:
            self.counters.install_seconds.observe(time.perf_counter() - started)
        return slot

    def _install(self, adapter: HostAdapter) -> int | None:
        started = time.perf_counter()
        slot = self.slots.install(adapter)
        self.counters.install_seconds.observe(time.perf_counter() - started)
        return slot

    def _report_step(self) -> None:
        if self.on_step is not None:
            self.on_step(len(self.running))

    def _send_outputs(self) -> None:
        if self._outputs:
            outputs, self._outputs = self._outputs, []
            self.on_outputs(outputs)

    def _stop(self, reason: str) -> None:
        """End everything that runs or waits, now and from now on."""
        self._stop_reason = reason
        for sequence in self.running:
            self._end(sequence, RequestOutput(error=reason))
        self.running.clear()
        self.decoding = 0
        self._report_step()
        self._send_outputs()
        self._release_waiting()

    def _release_waiting(self) -> None:
        """Let nobody wait for a loop that has ended: sequences end with its reason, commands run on this thread."""
        for sequence in self.waiting.drain():
            sequence.finished = True
            self.on_outputs([(sequence, RequestOutput(error=self._stop_reason))])
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            command()


def call_each(outputs: list[tuple[Sequence, RequestOutput]]) -> None:
    """Call each sequence's `on_output` on the engine's own thread, for callers that only take note."""
    for sequence, output in outputs:
        sequence.on_output(output)


def _wake_up() -> None:
    """A command that only wakes the engine."""

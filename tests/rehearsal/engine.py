"""The real engine at full size on a card that is not there: prefill, decode steps, recording.

Its own verbs (`_admit`, `_prefill`, `_decode`) are called one by one on this thread, so that what each of them
waits for and copies can be told apart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.plan import SHAPES
from core.models.base import load_tokenizer, resolve
from core.serving.engine.build import build_engine
from core.serving.engine.cuda_graphs import CudaGraphs
from core.serving.engine.forward import Forward
from core.serving.engine.loop import Engine
from core.serving.engine.sampling_params import SamplingParams
from core.serving.engine.sequence import Sequence as Row
from core.serving.lora.layers import linear_shapes
from core.serving.lora.slots import HostAdapter
from core.serving.settings import EngineSettings
from tests.rehearsal.base import filled, libraries, outline
from tests.rehearsal.card import Card, present
from tests.rehearsal.engine_scenes import RECORDED, SCENES, STEPS, Batch

ADAPTERS, RANK = 8, 16
PROMPT = [5 + at % 50 for at in range(70)]
TOKENS, PREFILLS = 8, 20
LENGTH = 2048  # tokens per conversation


@dataclass
class Scene:
    """Some rows from their prompts on. failed: the errors that ended rows. prefill, decode: notes of the watch; of
    decode those of STEPS steps. repeated: what the log says of forwards that were repeated row by row."""

    name: str
    failed: list[str] = field(default_factory=list)
    prefill: dict[str, Any] = field(default_factory=dict)
    decode: dict[str, Any] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)


@dataclass
class EngineReport:
    """weights, cache: bytes. peak: the most alive while rows were served. recorded: what the steps with recordings came
    to. not_recorded: why recording was given up; empty where it was allowed."""

    weights: int = 0
    cache: int = 0
    peak: int = 0
    choices: dict[str, str] = field(default_factory=dict)
    attention: dict[str, int] = field(default_factory=dict)
    scenes: list[Scene] = field(default_factory=list)
    replays: int = 0
    not_recorded: str = ""
    dtypes: list[str] = field(default_factory=list)


def rehearse(case: dict[str, Any]) -> dict[str, Any]:
    """case: card, shape, layers (None: all)."""
    card = Card.named(case["card"])
    shape = SHAPES[case["shape"]] | ({"num_hidden_layers": case["layers"]} if case.get("layers") else {})
    with ExitStack() as stack:
        stack.enter_context(libraries())
        model, tokenizer = outline(shape, card.dtype), load_tokenizer(resolve("builtin"))
        stack.enter_context(present(card))
        stack.enter_context(torch.inference_mode())
        report = serve(card, filled(model), tokenizer)
    return asdict(report)


def serve(card: Card, model: Any, tokenizer: Any) -> EngineReport:
    report, memory, watch = EngineReport(weights=card.memory.live), card.memory, card.watch
    watch.number = 0.0  # how far the engine's logits are from the model's, for the check at the start
    settings = EngineSettings(max_rows=16, slots=ADAPTERS, max_length=LENGTH)
    built = build_engine(model, tokenizer, settings)
    watch.number = 1.0
    engine, cache = built.engine, built.engine.cache
    report.cache = cache.budget * cache.bytes_per_token
    report.choices = {name: choice.value for name, choice in built.choices.items()}
    adapters = random_adapters(model)
    memory.forget_peaks()
    for name, batch in SCENES.items():
        report.scenes.append(play(engine, card, name, batch, adapters))
    engine.forward.graphs = graphs = CudaGraphs(recorder(card))
    report.scenes.append(play(engine, card, RECORDED, Batch(tuple(range(ADAPTERS))), adapters))
    report.replays, report.not_recorded = graphs.replays, graphs.disabled_reason
    report.peak, report.attention = memory.peak, dict(card.attention.chosen)
    notes = [notes for scene in report.scenes for notes in (scene.prefill, scene.decode)]
    report.dtypes = sorted({dtype for each in notes for dtype in each["dtypes"]})
    return report


def random_adapters(model: Any) -> list[HostAdapter]:
    shapes = [(path, shape) for path, shape in linear_shapes(model).items() if not path.endswith("lm_head")]

    def empty(*size: int) -> Tensor:
        return torch.empty(size, dtype=model.dtype)

    return [
        HostAdapter(
            f"a{number}", Path(), (), {path: (empty(into, RANK), empty(RANK, out)) for path, (out, into) in shapes}
        )
        for number in range(ADAPTERS)
    ]


def play(engine: Engine, card: Card, name: str, batch: Batch, adapters: Sequence[HostAdapter]) -> Scene:
    scene = Scene(name)

    def fail(failed: list[tuple[Row, Exception]]) -> None:
        scene.failed += [str(error) for _, error in failed]
        Engine._fail(engine, failed)

    engine._fail = fail  # type: ignore[method-assign]
    sampling = SamplingParams(max_tokens=TOKENS, ignore_eos=True, **batch.params)
    chosen = [None if number is None else adapters[number] for number in batch.adapters]
    rows = [Row(list(PROMPT), sampling, lambda output: None, adapter) for adapter in chosen]
    engine.submit(rows)
    with listening(Forward.__module__, scene.repeated):
        notes = card.watch.fresh()
        for _ in range(PREFILLS):
            engine._admit()
            engine._prefill()
            if engine.decoding == len(rows):
                break
        scene.prefill = notes.to_dict()
        notes = card.watch.fresh()
        for _ in range(STEPS):
            engine._decode()
        scene.decode = notes.to_dict()
    if len(engine.running) != len(rows):
        scene.failed.append(f"{len(rows) - len(engine.running)} of {len(rows)} rows have ended")
    engine._cancel(rows)
    engine._send_outputs()
    return scene


@contextmanager
def listening(to: str, kept: list[str]) -> Iterator[None]:
    """Keeps what a module logs."""
    handler, log = logging.Handler(), logging.getLogger(to)
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def recorder(card: Card) -> Callable[[Callable[[], Tensor]], Callable[[], Tensor]]:
    """Stands for core.serving.engine.cuda_graphs.CudaRecorder."""

    def record(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        with card.watch.recording():
            result = work()
        return lambda: result

    return record

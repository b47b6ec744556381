"""Milliseconds per decode step, Llama-2-7B's shape, on a GPU. NOT RUN ON A GPU YET: only --dry-run was, on a CPU.

    python -m benchmarks.gpu.engine [--dtype float16] [--layers 32] [--context 512] [--cap-gib 15]

Random NF4 weights, 8 random adapters of rank 16 on all linear layers, 1 to 32 rows with `--context` tokens each in the
cache. Beside each time stands the floor: the bytes that a step cannot avoid reading (4-bit weights, head, keys and
values) over the copy bandwidth measured on the same card. Each is measured eagerly and with CUDA graphs; a last
line says how many steps were replayed, or why none.

--dry-run does the same with a small model on the CPU: it shows that this program works, and measures nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from bitsandbytes.nn import Linear4bit
from transformers import PreTrainedModel

from benchmarks.gpu.shared_base import random_base
from core.models.base import load_tokenizer, resolve
from core.serving.engine.build import build_engine
from core.serving.engine.cuda_graphs import CudaGraphs, CudaRecorder
from core.serving.engine.loop import Engine
from core.serving.engine.sampling_params import SamplingParams
from core.serving.engine.sequence import Sequence
from core.serving.engine.weights import PACKED
from core.serving.lora.layers import linear_shapes
from core.serving.lora.slots import HostAdapter
from core.serving.settings import EngineSettings

ROWS = (1, 2, 4, 8, 16, 32)
ADAPTERS, RANK = 8, 16
STEPS = 20


def random_adapters(model: PreTrainedModel) -> list[HostAdapter]:
    shapes = {path: shape for path, shape in linear_shapes(model).items() if not path.endswith("lm_head")}
    made = []
    for number in range(ADAPTERS):
        generator = torch.Generator().manual_seed(number)
        pairs = {
            path: tuple(
                (torch.randn(shape, generator=generator) * 0.01).to(model.dtype)
                for shape in ((inputs, RANK), (RANK, outputs))
            )
            for path, (outputs, inputs) in shapes.items()
        }
        made.append(HostAdapter(f"a{number}", Path(), (), pairs))  # type: ignore[arg-type]
    return made


def copy_bandwidth(device: torch.device, size: int) -> float:
    """Bytes per second of reading and writing, from copying `size` bytes."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(10):
        _wait(device)
        started = time.perf_counter()
        target.copy_(source)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size / best


def weight_bytes(model: PreTrainedModel) -> int:
    """What every step reads of the weights: the 4-bit codes with their scales, and the head."""
    total = 0
    for module in model.modules():
        if isinstance(module, Linear4bit):
            state = module.weight.quant_state
            total += module.weight.data.nbytes + state.absmax.nbytes
    return total + int(model.get_output_embeddings().weight.nbytes)


@torch.inference_mode()
def milliseconds(engine: Engine, adapters: Iterable[HostAdapter | None], context: int) -> float:
    """The median decode step over one row per adapter, each with `context` tokens in the cache."""
    prompt = [5 + i % 50 for i in range(context)]
    params = SamplingParams(max_tokens=2 * STEPS, temperature=0.0, ignore_eos=True)
    sequences = [Sequence(prompt, params, lambda output: None, adapter) for adapter in adapters]
    engine.submit(sequences)
    taken: list[float] = []

    while len(taken) < STEPS:  # the engine's own verbs, on this thread
        engine._admit()
        engine._prefill()
        steps, started = engine.counters.steps, time.perf_counter()
        if engine.decoding == len(sequences):
            engine._decode()
        if engine.counters.steps > steps:
            taken.append(time.perf_counter() - started)  # a step ends with its tokens on the host
    engine._cancel(sequences)
    engine._send_outputs()
    return 1000 * statistics.median(taken[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--cap-gib", type=float, default=15.0)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    given.device = "cpu" if given.dry_run else "cuda:0"
    if given.dry_run:
        given.dtype, given.layers, given.context = "float32", 2, 16
    device = torch.device(given.device)
    if not given.dry_run:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, given.cap_gib * 2**30 / total), device)
    model = random_base(given)
    adapters = random_adapters(model)
    length = given.context + 2 * STEPS
    settings = EngineSettings(max_rows=max(given.rows), slots=ADAPTERS, max_length=max(length, 64), weights=PACKED)
    engine = build_engine(model, load_tokenizer(resolve("builtin")), settings).engine
    read, per_token = weight_bytes(model), engine.cache.bytes_per_token
    bandwidth = copy_bandwidth(device, 1 << (24 if given.dry_run else 30))
    print(
        f"{given.layers} layers, {given.dtype}; a step reads {read / 2**30:.2f} GiB, copy at {bandwidth / 1e9:.0f} GB/s"
    )
    print(f"cache: {engine.cache.budget} tokens of {per_token / 1024:.0f} KiB\n")
    graphs = None if given.dry_run else CudaGraphs(CudaRecorder())
    print("| rows | base, ms/step | 8 adapters, ms/step | the same, graphs | floor, ms | graphs / floor | tokens/s |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for rows in given.rows:
        if not engine.cache.can_hold(*[length] * rows):
            print(f"| {rows} | does not fit the cache | | | | | |")
            continue
        mixed = [adapters[i % ADAPTERS] for i in range(rows)]
        engine.forward.graphs = None
        base = milliseconds(engine, [None] * rows, given.context)
        eager = milliseconds(engine, mixed, given.context)
        engine.forward.graphs = graphs
        recorded = milliseconds(engine, mixed, given.context)
        floor = 1000 * (read + rows * given.context * per_token) / bandwidth
        print(
            f"| {rows} | {base:.2f} | {eager:.2f} | {recorded:.2f} | {floor:.2f} | {recorded / floor:.2f} "
            f"| {1000 * rows / recorded:.0f} |"
        )
    if graphs is not None:
        stopped = f"; then not any more: {graphs.disabled_reason}" if graphs.disabled_reason else ""
        print(f"\n{graphs.replays} steps were replayed{stopped}")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()

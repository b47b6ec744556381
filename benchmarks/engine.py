"""Many adapters on one base: the engine against PEFT, side by side in one run.

    python -m benchmarks.engine [--bases builtin,llama-30m] [--weights packed,exact] [--rounds 5] [--tokens 64]
        [--threads 1] [--clock cpu]

Tokens per second over N = 1, 2, 4, 8 columns, each with its own adapter (rank 16, all linear layers) and one prompt:
  (a) PEFT, set_adapter + generate, one column after the other
  (b) PEFT, one mixed batch: generate(adapter_names=[...])
  (c) the engine, all columns at once
  (d) the engine, the base alone in N columns
Every round measures all four by turns; the table has the medians, and the medians of each round's own ratios: a machine
that grows slower or faster meanwhile changes those least. Everything is measured twice: with the base's NF4 weights as
bitsandbytes keeps them, and with the same values written out, for PEFT as for the engine (the engine's fp16, bf16 and
int8 are measured against PEFT's exact ones). A last table has each as it runs by itself: PEFT on bitsandbytes'
weights, the engine on those that it writes out.

--clock cpu counts the process's CPU seconds instead of the wall's: on a machine that others use too, that is what can
be compared. All work here is calculation in one process, so on an idle machine with --threads 1 both say the same.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from adapters.compat import BaseFacts
from benchmarks.common.tables import ratio
from core.models.base import BaseSource, load_model, load_tokenizer, resolve
from core.serving.engine.build import build_engine
from core.serving.engine.sampling_params import SamplingParams
from core.serving.engine.sequence import RequestOutput, Sequence
from core.serving.engine.weights import EXACT, PACKED, convert_weights
from core.serving.lora.cache import read_adapter
from core.serving.lora.layers import linear_shapes
from core.serving.lora.slots import HostAdapter
from core.serving.settings import EngineSettings

COLUMNS = (1, 2, 4, 8)
RANK = 16
Speeds: TypeAlias = dict[int, dict[str, list[float]]]
"""Columns -> way (a to d) -> tokens per second in each round."""
PROMPT = 32  # tokens
LLAMA_30M = LlamaConfig(
    vocab_size=4096,
    hidden_size=512,
    intermediate_size=1408,
    num_hidden_layers=8,
    num_attention_heads=8,
    max_position_embeddings=2048,
)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Ours:
    """The engine on a thread of its own, and columns that wait for their last token."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_id: str, weights: str) -> None:
        self.facts = BaseFacts(base_id, None, linear_shapes(model))
        self.settings = EngineSettings(max_rows=8, slots=8, weights=weights, max_length=1024)
        self.engine = build_engine(model, tokenizer, self.settings).engine
        self._thread = threading.Thread(target=self.engine.run)
        self._calls = itertools.count()

    def __enter__(self) -> Ours:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()
        self._thread.join()

    def read(self, folder: Path) -> HostAdapter:
        return read_adapter(folder.name, folder, self.facts, self.settings.max_rank, torch.float32)

    def generate(self, prompt: list[int], adapters: list[HostAdapter | None], tokens: int) -> None:
        ended = threading.Semaphore(0)

        def on_output(output: RequestOutput) -> None:
            if output.is_last:
                ended.release()

        params = SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True)
        client = str(next(self._calls))  # a new one has nothing in the cache, as PEFT has not
        self.engine.submit([Sequence(prompt, params, on_output, adapter, client) for adapter in adapters])
        for _ in adapters:
            ended.acquire()


class Operators(TorchDispatchMode):
    """Counts the operators that torch is asked for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


def bases(names: list[str], folder: Path) -> dict[str, BaseSource]:
    found = {}
    for name in names:
        if name == "llama-30m":
            torch.manual_seed(0)
            LlamaForCausalLM(LLAMA_30M).save_pretrained(folder / name)
            found[name] = BaseSource(name, str(folder / name), local=True)
        else:
            found[name] = resolve(name)
    return found


def make_adapters(model: PreTrainedModel, base_id: str, folder: Path, count: int) -> list[Path]:
    """Adapters as PEFT writes them, random in A and in B."""
    peft = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
    peft.peft_config["default"].base_model_name_or_path = base_id
    made = []
    for i in range(count):
        torch.manual_seed(i)
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        peft.save_pretrained(folder / f"a{i}")
        made.append(folder / f"a{i}")
    peft.unload()
    return made


def peft_model(source: BaseSource, folders: list[Path], weights: str) -> PeftModel:
    model = load_model(source)
    if weights != PACKED:
        convert_weights(model, EXACT)
    model.generation_config.eos_token_id = None  # every column gets all its tokens
    peft = PeftModel.from_pretrained(model, folders[0], adapter_name=folders[0].name)
    for folder in folders[1:]:
        peft.load_adapter(folder, adapter_name=folder.name)
    return peft.eval()


def timed(clock: Callable[[], float], work: Callable[[], object]) -> float:
    started = clock()
    work()
    return clock() - started


def throughput(
    peft: PeftModel,
    ours: Ours,
    names: list[str],
    adapters: list[HostAdapter],
    clock: Callable[[], float],
    given: argparse.Namespace,
) -> Speeds:
    prompt = list(range(10, 10 + PROMPT))
    ids = torch.tensor([prompt])
    settings = {"max_new_tokens": given.tokens, "do_sample": False, "pad_token_id": 0}

    @torch.inference_mode()
    def one_by_one(n: int) -> None:
        for name in names[:n]:
            peft.set_adapter(name)
            peft.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)

    @torch.inference_mode()
    def mixed(n: int) -> None:
        batch = ids.expand(n, -1)
        peft.generate(input_ids=batch, attention_mask=torch.ones_like(batch), adapter_names=names[:n], **settings)

    ways: dict[str, Callable[[int], None]] = {
        "a": one_by_one,
        "b": mixed,
        "c": lambda n: ours.generate(prompt, list(adapters[:n]), given.tokens),
        "d": lambda n: ours.generate(prompt, [None] * n, given.tokens),
    }
    speeds: Speeds = {}
    for n in COLUMNS:
        speeds[n] = {way: [] for way in ways}
        for generate in ways.values():
            generate(n)  # warm
        for _ in range(given.rounds):
            for way, work in ways.items():
                speeds[n][way].append(n * given.tokens / timed(clock, partial(work, n)))
    return speeds


def latencies(
    peft: PeftModel,
    ours: Ours,
    folders: list[Path],
    adapters: list[HostAdapter],
    clock: Callable[[], float],
    given: argparse.Namespace,
) -> dict[str, float]:
    """Milliseconds, medians."""
    prompt = list(range(10, 10 + PROMPT))
    ids = torch.tensor([prompt])

    @torch.inference_mode()
    def peft_first(name: str) -> None:
        peft.set_adapter(name)
        peft.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=1, pad_token_id=0)

    def peft_cold() -> None:
        peft.load_adapter(folders[0], adapter_name="cold")
        peft_first("cold")

    taken: dict[str, list[float]] = {}
    installs = ours.engine.counters.install_seconds
    for _ in range(given.rounds):
        for what, work in {
            "first token, engine": lambda: ours.generate(prompt, [adapters[1]], 1),
            "first token, PEFT": lambda: peft_first(folders[1].name),
            "folder complete to first token, engine": lambda: ours.generate(prompt, [ours.read(folders[0])], 1),
            "folder complete to first token, PEFT (load_adapter + generate)": peft_cold,
        }.items():
            before = installs.sum
            taken.setdefault(what, []).append(timed(clock, work))
            if what == "folder complete to first token, engine":
                # on the wall's clock, also with --clock cpu
                taken.setdefault("of it on the engine's thread: the install", []).append(installs.sum - before)
        peft.delete_adapter("cold")
    return {what: 1000 * statistics.median(seconds) for what, seconds in taken.items()}


def operators_per_step(ours: Ours, columns: list[HostAdapter | None]) -> float:
    """How many operators torch is asked for in a decode step."""
    prompt, engine = list(range(10, 10 + PROMPT)), ours.engine
    ours.generate(prompt, columns, 1)  # warm: adapters in their slots
    operators, steps = Operators(), engine.counters.steps
    engine.call(operators.__enter__).result()
    ours.generate(prompt, columns, 1)  # the prefill, counted apart
    prefill, operators.count = operators.count, 0
    ours.generate(prompt, columns, 21)
    engine.call(lambda: operators.__exit__(None, None, None)).result()  # type: ignore[no-untyped-call]
    return (operators.count - prefill) / (engine.counters.steps - steps)


def step_costs(ours: Ours, adapters: list[HostAdapter]) -> dict[str, float]:
    """Operators per decode step at 8 columns, and the share of a step that is not the model's forward."""
    prompt, engine = list(range(10, 10 + PROMPT)), ours.engine
    cases: dict[str, list[HostAdapter | None]] = {
        "base alone": [None] * 8,
        "one adapter": [adapters[0]] * 8,
        "8 adapters": [*adapters],
    }
    counted = {f"operators per step, {what}": operators_per_step(ours, columns) for what, columns in cases.items()}
    forward, whole = engine.counters.forward_seconds, engine.counters.step_seconds
    ours.generate(prompt, list(adapters), 64)
    forward, whole = engine.counters.forward_seconds - forward, engine.counters.step_seconds - whole
    counted["engine overhead per step at 8 adapters, % of the step"] = 100 * (1 - forward / whole)
    return counted


def reading(ours: Ours, adapters: list[HostAdapter], tokens: int) -> dict[str, float]:
    """What a step at 8 columns reads, and the ratios that would follow if it did nothing but read."""
    base = sum(out * into for out, into in ours.facts.linears.values()) * 4
    adapter = adapters[0].bytes
    kv = (PROMPT + tokens / 2) * ours.engine.cache.bytes_per_token
    n = max(COLUMNS)
    ours_all, ours_base = base + n * (adapter + kv), base + n * kv
    return {
        "a step's reading at 8 columns, MB: base": base / 1e6,
        "a step's reading at 8 columns, MB: adapters": n * adapter / 1e6,
        "a step's reading at 8 columns, MB: keys and values": n * kv / 1e6,
        "if a step were reading alone, (c)/(a)": n * (base + adapter + kv) / ours_all,
        "if a step were reading alone, (c)/(d)": ours_base / ours_all,
    }


def report_own_choice(name: str, packed: Speeds, plain: Speeds) -> None:
    print(f"\n{name}, each as it runs by itself: PEFT on packed NF4 weights, the engine on its own; tokens/s\n")
    print("| N | (a) PEFT, in turn | (b) PEFT, mixed | (c) engine | (c)/(a) | (c)/(b) |")
    print("|--:|--:|--:|--:|--:|--:|")
    for n in COLUMNS:
        a, b, c = packed[n]["a"], packed[n]["b"], plain[n]["c"]
        medians = " | ".join(f"{statistics.median(speeds_of_way):.0f}" for speeds_of_way in (a, b, c))
        print(f"| {n} | {medians} | {ratio(c, a):.2f} | {ratio(c, b):.2f} |", flush=True)


def report(name: str, weights: str, speeds: Speeds, clock: str) -> None:
    kept = "as bitsandbytes packs them" if weights == PACKED else f"written out as {weights}"
    print(f"\n{name}, NF4 weights {kept}; tokens/s ({clock} clock)\n")
    print("| N | (a) PEFT, in turn | (b) PEFT, mixed | (c) engine | (d) engine, base | (c)/(a) | (c)/(b) | (c)/(d) |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n, of in speeds.items():
        medians = " | ".join(f"{statistics.median(of[way]):.0f}" for way in "abcd")
        ratios = " | ".join(f"{ratio(of['c'], of[way]):.2f}" for way in "abd")
        print(f"| {n} | {medians} | {ratios} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", default="builtin,llama-30m")
    parser.add_argument("--weights", default=f"{PACKED},{EXACT}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64, help="per column")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers_logging.disable_progress_bar()
    clock = CLOCKS[given.clock]
    with tempfile.TemporaryDirectory() as place:
        tokenizer = load_tokenizer(resolve("builtin"))
        for name, source in bases(given.bases.split(","), Path(place)).items():
            folders = make_adapters(load_model(source), source.id, Path(place) / f"{name}-adapters", max(COLUMNS))
            speeds: dict[str, Speeds] = {}
            for weights in given.weights.split(","):
                peft = peft_model(source, folders, weights)
                with Ours(load_model(source), tokenizer, source.id, weights) as ours:
                    adapters = [ours.read(folder) for folder in folders]
                    names = [folder.name for folder in folders]
                    speeds[weights] = throughput(peft, ours, names, adapters, clock, given)
                    report(name, weights, speeds[weights], given.clock)
                    print()
                    for what, value in latencies(peft, ours, folders, adapters, clock, given).items():
                        print(f"- {what}: {value:.1f} ms")
                    for what, value in step_costs(ours, adapters).items():
                        print(f"- {what}: {value:.1f}", flush=True)
                    if weights == EXACT:
                        for what, value in reading(ours, adapters, given.tokens).items():
                            print(f"- {what}: {value:.2f}", flush=True)
            if {PACKED, EXACT} <= speeds.keys():
                report_own_choice(name, speeds[PACKED], speeds[EXACT])


if __name__ == "__main__":
    main()

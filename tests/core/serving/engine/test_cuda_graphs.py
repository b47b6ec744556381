"""Steps that are recorded and replayed. What a GPU would do is done here by a tape of the same operators: it runs them
on the very tensors that the recording saw, and nothing of Python in between, as a CUDA graph does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from core.models.base import load_model
from core.serving.engine.cuda_graphs import CudaGraphs, Work
from tests.core.serving import tiny
from tests.core.serving.running import Reader, Running, greedy

PROMPTS = [[1, 3, 80, 81], [1, 3, 90, 91], list(range(30, 51))]
NEW = 12


class Operators(TorchDispatchMode):
    """Notes every operator that is done, and on which tensors."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = function(*args, **(kwargs or {}))
        self.done.append((function, args, kwargs or {}, out))
        return out


def tape(work: Work) -> Work:
    with Operators() as operators:
        result = work()

    def replay() -> Tensor:
        now: dict[int, Tensor] = {}  # by the tensor that was there at the recording

        def today(each: Any) -> Any:
            return now.get(id(each), each)

        for function, args, kwargs, out in operators.done:
            again = function(*tree_map(today, args), **tree_map(today, kwargs))
            now |= {id(old): new for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True)}
        result.copy_(now[id(result)])  # a CUDA graph's result is one tensor, too, that the next replay overwrites
        return result

    return replay


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.base_folder(tmp_path_factory.mktemp("tiny") / "base", num_hidden_layers=2)


@pytest.mark.slow
@pytest.mark.parametrize("four_bit", [False, True])
def test_replayed_steps_say_what_plain_ones_say_through_joins_leaves_and_installs(
    base: Path, tmp_path: Path, four_bit: bool
) -> None:
    model = load_model(tiny.source(base), load_in_4bit=four_bit)
    plain = load_model(tiny.source(base), load_in_4bit=four_bit)
    loras: dict[str, dict[str, Any]] = {"small": {"r": 4}, "large": {"r": 24, "target_modules": ["q_proj"]}}
    folders = [tiny.adapter(tmp_path / name, plain, seed=i + 1, **lora) for i, (name, lora) in enumerate(loras.items())]
    weights = "packed" if four_bit else "exact"
    with Running(plain, slots=2, max_rows=4, prefill_chunk=8, kv_tokens=512, weights=weights) as running:
        adapters = {None: None} | {folder.name: running.read(folder) for folder in folders}
        expected = {
            (name, i): running.ask(prompt, adapter, max_tokens=NEW).tokens
            for name, adapter in adapters.items()
            for i, prompt in enumerate(PROMPTS)
        }
    assert expected[None, 0] == greedy(load_model(tiny.source(base), load_in_4bit=four_bit), PROMPTS[0], NEW)
    with Running(model, slots=2, max_rows=4, prefill_chunk=8, kv_tokens=512, weights=weights) as running:
        graphs = CudaGraphs(tape)
        running.engine.forward.graphs = graphs
        running.engine.slots.routing.grouped = False  # as on a GPU
        adapters = {None: None, "small": running.read(folders[0])}
        chance = random.Random(0)
        asked: list[tuple[str | None, int, int, Reader]] = []
        for count in range(60):
            if count == 30:  # a larger rank comes: the slots move to other memory
                for *_, reader in asked:
                    reader.ended()
                before = graphs.replays
                adapters["large"] = running.read(folders[1])
            name, i, length = chance.choice(list(adapters)), chance.randrange(len(PROMPTS)), chance.randint(2, NEW)
            asked.append((name, i, length, running.ask(PROMPTS[i], adapters[name], max_tokens=length)))
            if chance.random() < 0.2:
                asked[-1][3].begun()
        for name, i, length, reader in asked:
            assert (reader.error, reader.tokens) == (None, expected[name, i][:length]), (name, i)
    assert not graphs.disabled_reason
    assert graphs.replays > before > 0


def test_a_recording_that_is_not_right_is_never_used() -> None:
    graphs = CudaGraphs(lambda work: lambda: work() + 1)
    assert [graphs.run("key", lambda: torch.ones(2)).tolist() for _ in range(4)] == [[1.0, 1.0]] * 4
    assert "differ" in graphs.disabled_reason
    assert not graphs.replays


def test_a_recording_that_is_refused_ends_recording_not_the_step() -> None:
    def refused(work: Work) -> Work:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = CudaGraphs(refused)
    assert [graphs.run("key", lambda: torch.ones(1)).item() for _ in range(3)] == [1.0] * 3
    assert "not permitted" in graphs.disabled_reason

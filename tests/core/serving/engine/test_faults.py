"""One row's fault is its own; the device's fault ends the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.common.errors import UserError
from core.serving.lora.slots import HostAdapter
from tests.core.serving import tiny
from tests.core.serving.running import Running, reader_for

PROMPT = [1, 3, 80, 81]
POISON = 199


def poisoned(running: Running, raised: Exception) -> None:
    """Let every forward that reads the poisonous token fail."""

    def check(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if bool((kwargs["input_ids"] == POISON).any()):
            raise raised

    running.engine.forward.model.register_forward_pre_hook(check, with_kwargs=True)


def test_an_exception_ends_its_row_alone(running: Running) -> None:
    expected = running.ask(PROMPT, max_tokens=40, ignore_eos=True).tokens
    poisoned(running, ValueError("poison"))
    # The poison is forced into the middle of an answer, so that a whole decode step over several rows fails.
    good = [running.ask(PROMPT, max_tokens=40, ignore_eos=True) for _ in range(2)]
    bad = running.ask(PROMPT, max_tokens=40, ignore_eos=True, logit_bias=((POISON, 100.0),))
    bad_from_the_start = running.ask([POISON, 5], max_tokens=5)
    told = "This completion has failed; the log of the engine says why."  # and not to whoever asked
    assert bad.error == bad_from_the_start.error == told
    assert [reader.tokens for reader in good] == [expected, expected]
    assert running.ask(PROMPT, max_tokens=40, ignore_eos=True).tokens == expected
    assert running.engine.counters.completions_by_end["error"] == 2


def test_a_batch_that_fails_though_each_row_alone_succeeds_is_logged_and_counted(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody's completion fails, so that only the log and the count tell why all is slow."""
    expected = running.ask(PROMPT, max_tokens=5, ignore_eos=True).tokens
    assert running.engine.stats().repeated_forwards == 0

    def refuse_batches(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(kwargs["input_ids"]) > 1:
            raise RuntimeError("only one row at a time")

    running.engine.forward.model.register_forward_pre_hook(refuse_batches, with_kwargs=True)
    readers = [reader_for(PROMPT, max_tokens=5, ignore_eos=True) for _ in range(2)]
    running.engine.submit([reader.sequence for reader in readers])
    assert [reader.tokens for reader in readers] == [expected, expected]
    assert running.engine.stats().repeated_forwards > 0
    assert "repeated row by row: only one row at a time" in caplog.text


def test_a_stop_string_search_that_fails_ends_its_row_alone(running: Running) -> None:
    class Broken:
        def __len__(self) -> int:
            raise RuntimeError("broken stop")

    bad = running.ask(PROMPT, stop=(Broken(),))
    good = running.ask(PROMPT)
    assert bad.error is not None
    assert good.error is None


def test_a_row_that_turns_into_nan_harms_no_other_and_no_later_one(
    running: Running, adapters: list[HostAdapter]
) -> None:
    expected = running.ask(PROMPT, max_tokens=30, ignore_eos=True).tokens
    with_adapter = running.ask(PROMPT, adapters[0], max_tokens=30, ignore_eos=True).tokens
    # Finite weights that overflow in the product, as fp16 adapters can: the row becomes inf, then NaN.
    huge = HostAdapter("huge", Path(), (), {p: (a * 0 + 3e38, b * 0 + 3e38) for p, (a, b) in adapters[1].pairs.items()})
    beside = [
        running.ask(PROMPT, None, max_tokens=30, ignore_eos=True),
        running.ask(PROMPT, adapters[0], max_tokens=30, ignore_eos=True),
    ]
    bad = running.ask(PROMPT, huge, max_tokens=30)
    assert "not a number" in str(bad.error)
    assert [reader.tokens for reader in beside] == [expected, with_adapter]
    later = [running.ask(PROMPT, None, max_tokens=30, ignore_eos=True) for _ in range(4)]  # all four cache rows
    assert [reader.tokens for reader in later] == [expected] * 4


def test_a_device_fault_ends_the_engine_and_tells_every_reader() -> None:
    running = Running(tiny.model(), max_rows=2)
    with running:
        under_way = running.ask(PROMPT, max_tokens=400, ignore_eos=True).begun()
        poisoned(running, torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700))
        bad = running.ask([POISON])
        assert "engine has failed" in str(bad.error)
        assert "engine has failed" in str(under_way.error)
        running.joined()
    assert isinstance(running.failure, torch.AcceleratorError)


def test_an_adapter_that_does_not_fit_the_device_ends_its_row_alone(
    running: Running, adapters: list[HostAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    running.ask(PROMPT, adapters[0]).ended()
    layer = next(iter(running.engine.slots.layers.values()))

    def full(rank: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(layer.lora_a, "grow", full)
    bad = running.ask(PROMPT, adapters[1])
    assert "does not fit the device's memory" in str(bad.error)
    assert running.ask(PROMPT, adapters[0]).error is None


def test_an_adapter_with_nan_is_refused_when_it_is_read(running: Running, folders: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    tensors = load_file(folders[0] / "adapter_model.safetensors")
    first = next(iter(tensors))
    tensors[first][0, 0] = float("nan")
    save_file(tensors, broken / "adapter_model.safetensors")
    (broken / "adapter_config.json").write_bytes((folders[0] / "adapter_config.json").read_bytes())
    with pytest.raises(UserError, match="not numbers"):
        running.read(broken)

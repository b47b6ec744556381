"""The engine's base in device memory, lent to a trainer. Everything but the CUDA calls: see device_stand_in."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from core.common.home import Home
from core.common.process import Identity
from core.models.base import load_model
from core.models.shared_weights.device_memory import Refused
from core.models.shared_weights.lending import Lender, LoanState, loan_path, read_loan
from core.models.shared_weights.shared_base import BORROWED, LENT, OWN, Beside, SharedBase, open_base
from tests.core.models.shared_weights.device_stand_in import FOLDER, FileMemory
from tests.core.serving import tiny


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(40)[None]).logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.base_folder(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is this process's device."""
    memory = tmp_path / "device"
    memory.mkdir()
    monkeypatch.setenv(FOLDER, str(memory))
    monkeypatch.setattr("core.models.shared_weights.shared_base.device_memory", lambda device: FileMemory())
    return memory


def lent(folder: Path, home: Home, said: list[str] | None = None) -> SharedBase:
    return open_base(tiny.source(folder), home, lends=True, progress=(said if said is not None else []).append)


def borrowed(folder: Path, home: Home, beside: Beside | None = None) -> SharedBase:
    return open_base(tiny.source(folder), home, beside=beside or Beside())


def test_the_engine_lends_what_it_has_checked_and_the_trainer_has_the_same(
    folder: Path, home: Home, device: Path
) -> None:
    engine = lent(folder, home)
    assert engine.how.value == LENT and "made now" in engine.how.reason and engine.owner is None
    trainer = borrowed(folder, home)
    assert trainer.how.value == BORROWED and f"process {os.getpid()}" in trainer.how.reason
    assert trainer.owner == Identity.own()
    assert torch.equal(logits(trainer.model), logits(load_model(tiny.source(folder))))
    assert torch.equal(logits(engine.model), logits(trainer.model))
    assert len(list(device.iterdir())) == 1, "one allocation for both"
    assert not any(each.requires_grad for each in trainer.model.parameters())
    record = loan_path(home)
    assert record.stat().st_mode & 0o777 == 0o600

    engine.model.lm_head.weight.data.add_(1)  # it is really the same memory
    assert torch.equal(logits(engine.model), logits(trainer.model))


def test_the_next_start_of_an_engine_quantises_nothing(folder: Path, home: Home, device: Path) -> None:
    said: list[str] = []
    expected = logits(lent(folder, home, said).model)
    assert "loading and quantising the weights" in said
    said.clear()
    again = lent(folder, home, said)
    assert again.how.value == LENT and "found in the cache" in again.how.reason
    assert said == ["reading the configuration", "mapping the quantised weights"]
    assert torch.equal(logits(again.model), expected)


def no_record(record: Path) -> None:
    record.unlink()


def torn(record: Path) -> None:
    record.write_bytes(record.read_bytes()[:50])


def rewritten(record: Path, **changes: Any) -> None:
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))


def of_the_dead(record: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    rewritten(record, pid=process.pid)


def of_a_pid_given_anew(record: Path) -> None:
    rewritten(record, started=Identity.own().started - 100)


def of_another_base(record: Path) -> None:
    contents = json.loads(record.read_text())["contents"]
    rewritten(record, contents=contents | {"identity": contents["identity"] | {"dtype": "float16"}})


def of_other_bytes(record: Path) -> None:
    path = Path(bytes.fromhex(json.loads(record.read_text())["handle"]).decode())
    path.write_bytes(bytes(path.stat().st_size))


def that_cannot_be_opened(record: Path) -> None:
    rewritten(record, handle=b"/nowhere".hex())


def without_contents(record: Path) -> None:
    contents = json.loads(record.read_text())["contents"]
    rewritten(record, contents={"identity": contents["identity"]})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_record, "no chat has it"),
        (torn, "no chat has it"),
        (of_the_dead, "no chat has it"),
        (of_a_pid_given_anew, "no chat has it"),
        (of_another_base, "another base, or another version"),
        (of_other_bytes, "could not be opened: behind its handle lies something else"),
        (that_cannot_be_opened, "could not be opened: [Errno 2]"),
        (without_contents, "could not be opened"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_loan_that_does_not_hold_becomes_a_copy(
    spoil: Callable[[Path], None], reason: str, folder: Path, home: Home, device: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lent(folder, home)
    spoil(loan_path(home))
    with caplog.at_level(logging.INFO, "core.models.shared_weights.shared_base"):
        trainer = borrowed(folder, home)
    assert trainer.how.value == OWN and reason in trainer.how.reason and trainer.owner is None
    assert reason in caplog.text
    assert torch.equal(logits(trainer.model), logits(load_model(tiny.source(folder))))


class Full(FileMemory):
    def allocate(self, nbytes: int) -> tuple[torch.Tensor, bytes]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate.\nDetails")


class Unwilling(FileMemory):
    def allocate(self, nbytes: int) -> tuple[torch.Tensor, bytes]:
        raise Refused("cudaIpcGetMemHandle: operation not supported (CUDA error 801)")


class Forgetful(FileMemory):
    """Its memory does not hold what is written into it."""

    def allocate(self, nbytes: int) -> tuple[torch.Tensor, bytes]:
        memory, handle = super().allocate(nbytes)

        class Lossy(torch.Tensor):
            def copy_(self, *args: Any, **kwargs: Any) -> Any:
                return self

        return memory.as_subclass(Lossy), handle


@pytest.mark.parametrize(
    ("memory", "reason"),
    [
        (Full, "CUDA out of memory. Tried to allocate."),
        (Unwilling, "operation not supported"),
        (Forgetful, "calculates something else"),
    ],
)
def test_an_engine_that_can_not_lend_has_a_copy_and_says_why(
    memory: type[FileMemory], reason: str, folder: Path, home: Home, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.models.shared_weights.shared_base.device_memory", lambda device: memory())
    engine = lent(folder, home)
    assert engine.how.value == OWN and reason in engine.how.reason
    assert torch.equal(logits(engine.model), logits(load_model(tiny.source(folder))))
    loan = read_loan(loan_path(home))
    assert loan is not None and loan.state is LoanState.KEPT and not loan.handle
    trainer = borrowed(folder, home)
    assert trainer.how.value == OWN and f"keeps its copy to itself: {engine.how.reason}" in trainer.how.reason
    assert not list(home.cache.glob("*.unfinished"))


def test_a_trainer_waits_while_the_engine_loads_and_no_longer(folder: Path, home: Home, device: Path) -> None:
    lender, found = Lender(home), []
    lender.prepare()
    waits, gone = threading.Event(), threading.Event()

    def say(phase: str) -> None:
        if "waiting for the chat" in phase:
            waits.set()

    reading = threading.Thread(target=lambda: found.append(open_base(tiny.source(folder), home, progress=say)))
    reading.start()
    assert waits.wait(60) and not found
    lent(folder, home)
    reading.join(60)
    assert [each.how.value for each in found] == [BORROWED]

    lender.prepare()
    gone.set()
    assert borrowed(folder, home, Beside(give_up=gone.is_set)).how.value == OWN
    lender.withdraw()
    assert not loan_path(home).exists()


def test_the_chat_that_makes_room_takes_its_copy_along(folder: Path, home: Home, device: Path) -> None:
    lent(folder, home)
    asked: list[bool] = []

    def stays(shared: bool) -> bool:
        asked.append(shared)
        return False

    trainer = borrowed(folder, home, Beside(stays=stays))
    assert asked == [True, False]
    assert trainer.how.value == OWN and "parked" in trainer.how.reason

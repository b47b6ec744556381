"""The engine's base in device memory, shared with a trainer. Everything but the CUDA calls: see device_stand_in."""

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
from core.models.shared_weights.device_memory import DeviceMemoryError
from core.models.shared_weights.ipc_handle import HandlePublisher, HandleState, handle_path, read_handle
from core.models.shared_weights.shared_base import BORROWED, LENT, OWN, OpeningHooks, SharedBase, open_base
from tests.core.models.shared_weights.device_stand_in import FOLDER, FileMemory
from tests.core.serving import tiny


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(40)[None]).logits
    return found


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


def published(folder: Path, home: Home, said: list[str] | None = None) -> SharedBase:
    return open_base(tiny.source(folder), home, publish=True, progress=(said if said is not None else []).append)


def borrowed(folder: Path, home: Home, hooks: OpeningHooks | None = None) -> SharedBase:
    return open_base(tiny.source(folder), home, hooks=hooks or OpeningHooks())


def test_the_engine_lends_what_it_has_checked_and_the_trainer_has_the_same(
    folder: Path, home: Home, device: Path
) -> None:
    engine = published(folder, home)
    assert engine.how.value == LENT and "made now" in engine.how.reason and engine.owner is None
    trainer = borrowed(folder, home)
    assert trainer.how.value == BORROWED and f"process {os.getpid()}" in trainer.how.reason
    assert trainer.owner == Identity.own()
    assert torch.equal(logits(trainer.model), logits(load_model(tiny.source(folder))))
    assert torch.equal(logits(engine.model), logits(trainer.model))
    assert len(list(device.iterdir())) == 1, "one allocation for both"
    assert not any(parameter.requires_grad for parameter in trainer.model.parameters())
    record = handle_path(home)
    assert record.stat().st_mode & 0o777 == 0o600

    engine.model.lm_head.weight.data.add_(1)  # it is really the same memory
    assert torch.equal(logits(engine.model), logits(trainer.model))


def test_the_next_start_of_an_engine_quantises_nothing(folder: Path, home: Home, device: Path) -> None:
    said: list[str] = []
    expected = logits(published(folder, home, said).model)
    assert "loading and quantising the weights" in said
    said.clear()
    again = published(folder, home, said)
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


@pytest.mark.slow
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
    ids=lambda case: case.__name__ if callable(case) else "",
)
def test_a_loan_that_does_not_hold_becomes_a_copy(
    spoil: Callable[[Path], None], reason: str, folder: Path, home: Home, device: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published(folder, home)
    spoil(handle_path(home))
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
        raise DeviceMemoryError("cudaIpcGetMemHandle: operation not supported (CUDA error 801)")


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
    engine = published(folder, home)
    assert engine.how.value == OWN and reason in engine.how.reason
    assert torch.equal(logits(engine.model), logits(load_model(tiny.source(folder))))
    handle = read_handle(handle_path(home))
    assert handle is not None and handle.state is HandleState.PRIVATE and not handle.handle
    trainer = borrowed(folder, home)
    assert trainer.how.value == OWN and f"keeps its copy to itself: {engine.how.reason}" in trainer.how.reason
    assert not list(home.cache.glob("*.unfinished"))


def test_a_trainer_waits_while_the_engine_loads_and_no_longer(folder: Path, home: Home, device: Path) -> None:
    publisher, found = HandlePublisher(home), []
    publisher.announce_loading()
    waits, gone = threading.Event(), threading.Event()

    def say(phase: str) -> None:
        if "waiting for the chat" in phase:
            waits.set()

    reading = threading.Thread(target=lambda: found.append(open_base(tiny.source(folder), home, progress=say)))
    reading.start()
    assert waits.wait(60) and not found
    published(folder, home)
    reading.join(60)
    assert [base.how.value for base in found] == [BORROWED]

    publisher.announce_loading()
    gone.set()
    assert borrowed(folder, home, OpeningHooks(should_stop=gone.is_set)).how.value == OWN
    publisher.withdraw()
    assert not handle_path(home).exists()


def test_the_chat_that_makes_room_takes_its_copy_along(folder: Path, home: Home, device: Path) -> None:
    published(folder, home)
    asked: list[bool] = []

    def keep_engine(shared: bool) -> bool:
        asked.append(shared)
        return False

    trainer = borrowed(folder, home, OpeningHooks(keep_engine=keep_engine))
    assert asked == [True, False]
    assert trainer.how.value == OWN and "parked" in trainer.how.reason

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from adapters.common.errors import UserError
from core.common.home import Home
from core.models.base import load_model
from core.serving.engine import model_check, start_record, weights
from core.serving.engine.build import BuiltEngine, build_engine
from core.serving.engine.start_record import StartFile, StartRecord
from core.serving.engine.weights import FormSpeed, linear_layers
from core.serving.service import Service
from core.serving.settings import EngineSettings
from tests.core.serving import tiny

BASE = {"base": "tiny", "weights": "1f", "versions": {"torch": "2"}}
SLOW, FAST = (9.0, 9.0), (3.0, 3.0)
EARLIER = "at an earlier start"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a start has measured and checked."""
    done: list[str] = []
    check = model_check.check_against_model

    def measure(layers: Any, forms: list[str]) -> dict[str, FormSpeed]:
        done.append("measured")
        return {form: FormSpeed(FAST if form == "fp16" else SLOW) for form in forms}

    def checked(*arguments: Any, **options: Any) -> None:
        check(*arguments, **options)
        done.append("checked")

    monkeypatch.setattr(weights, "why_not_compiled", lambda model: "another family")  # so that forms are measured
    monkeypatch.setattr(weights, "measure_forms", measure)
    monkeypatch.setattr(model_check, "check_against_model", checked)
    monkeypatch.setattr(start_record, "UNDISTURBED", 0)  # nobody else wants the cores
    return done


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., BuiltEngine]:
    """One start on the tiny base, with the findings of earlier ones in tmp_path/cache."""
    home = Home.open(tmp_path / "home")
    source = tiny.source(tiny.base_folder(tmp_path / "base", hidden_size=64, num_attention_heads=4))

    def start(base: dict[str, Any] = BASE, **settings: Any) -> BuiltEngine:
        chosen = EngineSettings(**{"kv_tokens": 1024, "max_rows": 4} | settings)
        record = StartRecord(StartFile(home.cache, source.id, base, chosen))
        return build_engine(load_model(source), tiny.tokenizer(), chosen, record=record)

    return start


def files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "home" / "cache").glob("*.start.json"))


def test_a_second_start_neither_measures_nor_checks_and_says_since_when(
    start: Callable[..., BuiltEngine], done: list[str]
) -> None:
    first = start().choices
    assert done == ["measured", "checked"]
    assert first["weights"].value == "fp16" and "measured at this start" in first["weights"].reason
    assert first["check"].value == "passed" and "checked at this start" in first["check"].reason
    second = start().choices
    assert done == ["measured", "checked"]
    assert second["weights"].value == "fp16" and f"measured {EARLIER}, 20" in second["weights"].reason
    assert second["check"].value == "passed" and f"checked {EARLIER}, 20" in second["check"].reason


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "code": lambda patch: patch.setattr(start_record, "_code", lambda: "another"),
    "processor": lambda patch: patch.setattr(start_record, "_processor", lambda: ["another"]),
    "threads": lambda patch: patch.setattr(torch, "get_num_threads", lambda: 7),
    "kernels": lambda patch: patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_what_changes_on_the_machine_has_the_findings_made_anew(
    changed: str, start: Callable[..., BuiltEngine], done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    done.clear()
    CHANGES[changed](monkeypatch)
    start()
    assert done == ["measured", "checked"]
    assert len(files(tmp_path)) == 1


def test_another_base_version_or_setting_has_the_findings_made_anew(
    start: Callable[..., BuiltEngine], done: list[str]
) -> None:
    start()
    for base, settings in (
        (BASE | {"weights": "2e"}, {}),
        (BASE | {"versions": {"torch": "3"}}, {}),
        (BASE, {"slots": 2}),
    ):
        done.clear()
        start(base, **settings)
        assert done == ["measured", "checked"]


def test_the_code_of_the_engine_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "serving" / "engine"
    engine.mkdir(parents=True)
    (engine / "loop.py").write_text("a = 1")
    monkeypatch.setattr("core.__path__", [str(tmp_path)])
    before = start_record._code()
    assert start_record._code() == before
    (engine / "loop.py").write_text("a = 2")
    changed = start_record._code()
    (engine / "loop.py").rename(engine / "pool.py")
    assert len({before, changed, start_record._code()}) == 3


def test_another_form_is_chosen_by_the_same_figures_and_checked_for_itself(
    start: Callable[..., BuiltEngine], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = linear_layers(start().engine.forward.model).values()
    numbers = sum(layer.in_features * layer.out_features for layer in layers)
    free = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free._replace(available=3 * numbers))
    done.clear()
    assert start().choices["weights"].value == "nf4"  # the others take too much
    assert done == ["checked"]
    done.clear()
    assert start().choices["weights"].value == "nf4"
    assert not done


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"milliseconds": {"fp16": [-1]}}',
        '{"milliseconds": {"fp16": "3"}, "checked": []}',
        '{"at": 1e99}',
    ],
)
def test_a_damaged_file_is_made_anew(
    content: str, start: Callable[..., BuiltEngine], done: list[str], tmp_path: Path
) -> None:
    start()
    (path,) = files(tmp_path)
    path.write_text(content)
    done.clear()
    start()
    assert done == ["measured", "checked"]
    assert json.loads(path.read_bytes())["milliseconds"]["fp16"] == list(FAST)


def test_a_check_that_fails_is_not_kept(
    start: Callable[..., BuiltEngine], done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise UserError("The base's family tiny cannot be served.", "")

    with monkeypatch.context() as patch:
        patch.setattr(model_check, "check_against_model", fail)
        with pytest.raises(UserError, match="cannot be served"):
            start()
    assert not files(tmp_path)
    start()
    assert done[-1] == "checked"


def test_figures_that_were_disturbed_are_not_kept(
    start: Callable[..., BuiltEngine], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(start_record, "UNDISTURBED", 0.9)
        patch.setattr(time, "thread_time", lambda: 0.0)  # another program had the core
        start()
    start()
    start()
    assert done == ["measured", "checked", "measured"]


def test_a_cache_that_cannot_be_written_is_told_and_lived_with(
    start: Callable[..., BuiltEngine],
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(path: Path, data: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(start_record, "write_atomic", full)
    with caplog.at_level(logging.WARNING):
        assert start().choices["check"].value == "passed"
    assert "can't be kept" in caplog.text


def test_a_service_keeps_what_it_has_found_out_in_its_home(tmp_path: Path, done: list[str]) -> None:
    home = Home.open(tmp_path / "home")
    source = tiny.source(tiny.base_folder(tmp_path / "base"))
    phases: list[str] = []
    for _ in range(2):
        phases.clear()
        service = Service(
            source, home, EngineSettings(kv_tokens=256), on_outputs=lambda outputs: None, on_phase=phases.append
        )
    assert done == ["measured", "checked"]
    assert EARLIER in service.choices["check"].reason and EARLIER in service.choices["weights"].reason
    assert "checking the engine against the model" not in phases

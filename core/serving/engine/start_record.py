"""What a start has found out about its base on this machine, so that the next one need not: how fast each form of the
weights is, and that the engine calculates what the model does. One small JSON file in the home's cache.

Its name holds everything that the findings depend on, so that they are found out anew when any of it has changed, or
when the file is gone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import psutil
import torch
from pydantic import Field, TypeAdapter

import core
from adapters.common.files import write_atomic
from core.common.json_records import Moment, read_record
from core.models.shared_weights.cached_file import CachedFile
from core.serving.settings import EngineSettings

CODE = ("models", "serving")  # folders of core/ on which the findings depend
ENVIRONMENT = ("ATEN_", "BNB_", "DNNL_", "KMP_", "MKL_", "OMP_", "ONEDNN_", "TORCH")  # variables that choose kernels
UNDISTURBED = 0.9  # of the time the measuring thread must have had a core, or its figures are not kept

log = logging.getLogger(__name__)
Milliseconds = dict[str, tuple[float, ...]]


@dataclass
class Findings:
    """milliseconds: of each form of the weights (see weights.py), as they were measured `at` that moment.
    checked: in which form the engine has calculated what the model does, and since when that is known."""

    milliseconds: dict[str, tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]] = field(
        default_factory=dict
    )
    at: Moment = 0.0
    checked: dict[str, Moment] = field(default_factory=dict)


FINDINGS = TypeAdapter(Findings)


class StartRecord:
    """Reads `file` when it is made; `keep` writes it. Without a file everything is found out at each start."""

    def __init__(self, file: CachedFile | None = None) -> None:
        self._file = file
        self._findings = (_read(file) if file else None) or Findings()
        self._is_new = False

    def milliseconds(self, forms: list[str], measure: Callable[[], Milliseconds]) -> tuple[Milliseconds, str]:
        """The figures of these forms, and when they were measured, in words."""
        known = self._findings.milliseconds
        if known.keys() >= set(forms):
            return {form: known[form] for form in forms}, _earlier(self._findings.at)
        began, had_core = time.perf_counter(), time.thread_time()
        found = measure()
        if time.thread_time() - had_core >= UNDISTURBED * (time.perf_counter() - began):
            self._findings.milliseconds, self._findings.at, self._is_new = found, time.time(), True
        return found, "at this start"

    def check(self, what: str, check: Callable[[], None]) -> str:
        """Run `check` unless it went well for the same at an earlier start; returns when that was, in words.

        What `check` raises is raised, and nothing is kept.
        """
        if what in self._findings.checked:
            return _earlier(self._findings.checked[what])
        check()
        self._findings.checked[what], self._is_new = time.time(), True
        return "at this start"

    def keep(self) -> None:
        """Write down what is new. Where that cannot be, the next start finds it out again."""
        if self._file is None or not self._is_new:
            return
        try:
            write_atomic(self._file.path, json.dumps(asdict(self._findings)))
            self._file.remove_others()
        except OSError as error:
            log.warning("what this start has found out can't be kept: %s", error)


class StartFile(CachedFile):
    """The file of one base, engine and machine. base: `SharedBase.identity`."""

    suffix = ".start.json"

    def __init__(self, cache: Path, base_id: str, base: dict[str, Any], settings: EngineSettings) -> None:
        machine = {
            "processor": _processor(),
            "cores": psutil.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        }
        chosen = {name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT)}
        identity = {"base": base, "machine": machine, "environment": chosen, "settings": settings.to_dict()}
        super().__init__(cache, base_id, identity | {"code": _code()})


def _read(file: CachedFile) -> Findings | None:
    try:
        return read_record(file.path, FINDINGS)
    except OSError as error:
        log.warning("what earlier starts have found out can't be read: %s", error)
        return None


def _earlier(at: float) -> str:
    return f"at an earlier start, {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}"


def _code() -> str:
    """The hash of the source of the engine, and of what loads its base."""
    digest = hashlib.sha256()
    root = Path(core.__path__[0])
    for path in sorted(path for folder in CODE for path in (root / folder).rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}:{len(content)};".encode() + content)
    return digest.hexdigest()


def _processor() -> list[str]:
    """What decides which kernels run and how fast: its kind, and on Linux its model and its instructions."""
    found = [platform.machine(), torch.backends.cpu.get_cpu_capability()]
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return found
    kinds = ("vendor", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
    return [*found, *(line for line in first.splitlines() if line.startswith(kinds))]

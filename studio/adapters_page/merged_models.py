"""Merged models: made by a process of their own, kept in the cache under the name of the adapter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from adapters.common.errors import UserError
from adapters.record import AdapterRecord
from adapters.store import check_name
from core.common.home import Home

Progress = Callable[[float, str], None]  # share done (0 to 1), what is being done


def folder_of(home: Home, name: str) -> Path:
    return home.cache / "merged" / check_name(name)


def is_there(home: Home, record: AdapterRecord) -> bool:
    """Whether there are merged weights of this adapter, and not of an earlier one that had its name."""
    config = folder_of(home, record.name) / "config.json"
    weights = home.adapters / record.name / "adapter_model.safetensors"
    try:
        return config.stat().st_mtime >= weights.stat().st_mtime
    except OSError:
        return False


def make(adapter: Path, base: str, target: Path, progress: Progress) -> Path:
    """Merge the adapter in a process, as the web process has no torch. Raises UserError with what stood in the way."""
    command = [sys.executable, "-m", "core.models.merge", str(adapter), "--base", base, "--to", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            last = follow(process, progress)
        except BaseException:
            process.kill()
            raise
        assert process.stderr is not None
        trace = process.stderr.read()
    if "folder" in last:
        return Path(str(last["folder"]))
    if "message" in last:
        raise UserError(str(last["message"]), str(last["remedy"]))
    lines = trace.strip().splitlines()
    raise RuntimeError(f"merging ended with code {process.returncode}: {lines[-1] if lines else 'killed'}")


def follow(process: subprocess.Popen[str], progress: Progress) -> dict[str, object]:
    """Tell how far it is; returns the last that it said."""
    assert process.stdout is not None
    fact: dict[str, object] = {}
    for line in process.stdout:
        fact = json.loads(line)
        if "share" in fact:
            progress(float(str(fact["share"])), str(fact["what"]))
    return fact

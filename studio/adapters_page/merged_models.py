"""Merged models: made by a process of their own, kept in the cache under the name of the adapter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from adapters.common.errors import UserError
from adapters.hub.progress import Progress
from adapters.record import AdapterRecord
from adapters.store import check_name
from core.common.home import Home


def merged_folder(home: Home, name: str) -> Path:
    return home.cache / "merged" / check_name(name)


def is_merged(home: Home, record: AdapterRecord) -> bool:
    """Whether there are merged weights of this adapter, and not of an earlier one that had its name."""
    config = merged_folder(home, record.name) / "config.json"
    weights = home.adapters / record.name / "adapter_model.safetensors"
    try:
        return config.stat().st_mtime >= weights.stat().st_mtime
    except OSError:
        return False


def make_merged_model(adapter: Path, base: str, target: Path, progress: Progress) -> Path:
    """Merge the adapter in a process, as the web process has no torch. Raises UserError with what stood in the way."""
    command = [sys.executable, "-m", "core.models.merge", str(adapter), "--base", base, "--to", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            last = report_progress(process, progress)
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


def report_progress(process: subprocess.Popen[str], progress: Progress) -> dict[str, object]:
    """Report how far the process is; returns the last line that it printed."""
    assert process.stdout is not None
    message: dict[str, object] = {}
    for line in process.stdout:
        message = json.loads(line)
        if "share" in message:
            progress(float(str(message["share"])), str(message["what"]))
    return message

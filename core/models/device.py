"""What the machine can do, and what follows from it. Every automatic choice carries its reason."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

# Families whose activations overflow fp16 (their authors train and serve them in bf16 only).
OVERFLOWS_FP16 = frozenset(
    {"gemma3", "gemma3_text", "gemma4", "gemma4_text", "gpt_oss", "qwen3_5", "qwen3_5_text", "qwen3_moe", "glm4_moe"}
)
BF16_CAPABILITY = (8, 0)  # below it bf16 is emulated, and torch's is_bf16_supported() counts emulation


@dataclass(frozen=True)
class Choice:
    """A value that was chosen automatically, and why, in words that can be shown to a person."""

    value: str
    reason: str


def choose_device() -> Choice:
    import torch

    if torch.cuda.is_available():
        return Choice("cuda:0", f"{torch.cuda.get_device_name(0)} found")
    return Choice("cpu", "no CUDA device found")


def choose_dtype(device: str, model_type: str | None = None) -> Choice:
    """Compute dtype for 4-bit weights, as torch names it: "float32", "float16" or "bfloat16".

    `model_type` is the base's architecture as its config.json names it; with it, a family that overflows in fp16 is
    refused on a card that has no bf16. Raises adapters.common.errors.UserError in that case.
    """
    from adapters.common.errors import UserError

    if device == "cpu":
        return Choice("float32", "on CPU fp32 is the fastest of the three with NF4")
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) >= BF16_CAPABILITY:
        return Choice("bfloat16", f"compute capability {major}.{minor} has bf16")
    if model_type in OVERFLOWS_FP16:
        raise UserError(
            f"The family {model_type} overflows in fp16, and this card (capability {major}.{minor}) has no bf16.",
            "Choose a base of another family (Llama, Mistral, Qwen2.5), or a card of compute capability 8.0 or more.",
        )
    return Choice("float16", f"compute capability {major}.{minor} has no bf16; fp16 also keeps the fused 4-bit product")


def facts() -> dict[str, Any]:
    """Device and versions for `doctor` and the page: plain values, ready for JSON. Memory in bytes."""
    import platform

    import psutil
    import torch

    device = choose_device()
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": psutil.cpu_count(logical=True),
        "memory": psutil.virtual_memory().total,
        "device": device.value,
        "device_reason": device.reason,
        "versions": {name: metadata.version(name) for name in SHOWN_PACKAGES},
    }
    dtype = choose_dtype(device.value)
    found |= {"dtype": dtype.value, "dtype_reason": dtype.reason}
    if device.value != "cpu":
        free, total = torch.cuda.mem_get_info(0)
        found |= {
            "gpu": torch.cuda.get_device_name(0),
            "gpu_capability": ".".join(map(str, torch.cuda.get_device_capability(0))),
            "gpu_memory": total,
            "gpu_memory_free": free,
        }
    return found


SHOWN_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "datasets",
    "huggingface_hub",
    "gradio",
    "tensorboard",
)

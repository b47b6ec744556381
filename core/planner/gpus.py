"""Graphics cards by name, by size, or as found in this machine: how much of their memory a program can really have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from adapters.common.errors import UserError

GIB = 1 << 30
FLASH_CAPABILITY = (8, 0)  # below it no flash attention, and no bf16
SHARE_OF_SIZE = 0.91  # of a nominal "24 GB": what a T4, the stingiest of the catalogue, leaves of its 16
SHARE_OF_RAM = 0.9  # the rest is the operating system's and the web process's
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Gpu:
    """A device with memory in bytes.

    nominal: what it is sold as. usable: what CUDA reports as its total, before any context; for a CPU the share of the
    machine's memory that is planned with. capability: (major, minor), None on CPU. here: it is this machine's own, so
    that speeds measured here count.
    """

    name: str
    nominal: int
    usable: int
    capability: tuple[int, int] | None
    here: bool = False

    @property
    def on_cpu(self) -> bool:
        return self.capability is None

    @property
    def width(self) -> int:
        """Bytes per number that is calculated with: fp32 on CPU, fp16 or bf16 on a card (device.choose_dtype)."""
        return 4 if self.on_cpu else 2

    @property
    def flash(self) -> bool:
        """Attention without the score matrix, for grouped heads too. On CPU torch has its own such kernel."""
        return self.capability is None or self.capability >= FLASH_CAPABILITY

    @classmethod
    def find(cls, text: str | None) -> Gpu:
        """A card of the catalogue, a size such as 24GB, "cpu", or None for this machine's own. Raises UserError."""
        if text is None:
            return this_machine()
        key = re.sub(r"[\s_]", "", text.lower())
        if key == "cpu":
            return cpu()
        if key in CATALOGUE:
            return CATALOGUE[key]
        size = re.fullmatch(r"(\d+(?:\.\d+)?)(?:gb|gib|g)", key)
        if size and float(size[1]) > 0:
            nominal = round(float(size[1]) * GIB)
            return cls(f"{size[1]} GB card", nominal, round(SHARE_OF_SIZE * nominal), FLASH_CAPABILITY)
        raise UserError(
            f"There is no card {text!r} in the catalogue.",
            f"Choose one of {', '.join(CATALOGUE)}, cpu, or give its memory, such as 24GB.",
        )


def _gpu(name: str, nominal: int, usable: float, capability: tuple[int, int]) -> Gpu:
    return Gpu(name, nominal * GIB, round(usable * GIB), capability)


# Usable GiB: what torch reports as the device's total, as in its out-of-memory messages; the smallest seen of each.
CATALOGUE: dict[str, Gpu] = {
    "t4": _gpu("T4", 16, 14.56, (7, 5)),
    "v100": _gpu("V100", 16, 15.77, (7, 0)),
    "l4": _gpu("L4", 24, 21.95, (8, 9)),
    "a10g": _gpu("A10G", 24, 21.98, (8, 6)),
    "rtx3090": _gpu("RTX 3090", 24, 23.55, (8, 6)),
    "rtx4090": _gpu("RTX 4090", 24, 23.51, (8, 9)),
    "l40s": _gpu("L40S", 48, 44.31, (8, 9)),
    "a100-40": _gpu("A100 40 GB", 40, 39.38, (8, 0)),
    "a100-80": _gpu("A100 80 GB", 80, 79.14, (8, 0)),
    "h100": _gpu("H100 80 GB", 80, 79.10, (9, 0)),
}


def this_machine() -> Gpu:
    """The first CUDA card, or else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return cpu()
    properties = torch.cuda.get_device_properties(0)
    total = int(properties.total_memory)
    return Gpu(properties.name, total, total, (properties.major, properties.minor), here=True)


def cpu() -> Gpu:
    """This machine's memory, or the container's limit where that is lower."""
    import psutil

    total = min([psutil.virtual_memory().total, *_container_limits()])
    return Gpu("CPU", total, round(SHARE_OF_RAM * total), None, here=True)


def _container_limits() -> list[int]:
    texts = [Path(name).read_text().strip() for name in CGROUP_LIMITS if Path(name).is_file()]
    return [int(text) for text in texts if text.isdigit()]  # "max" where there is none

"""A device whose memory processes can lend each other, on machines without one: files that all map, for CUDA's calls.

Run as a module with a home folder it is an engine as far as its base goes: it shares the built-in one until its
input ends, and answers each line with its logits' hash.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "DEVICE_STAND_IN"  # names the folder that is the device
# Python imports a module of this name at its start.
SITE = "from tests.core.models.shared_weights.device_stand_in import install\ninstall()\n"


class FileMemory:
    """The handle is a path. What one process writes all others see."""

    def allocate(self, nbytes: int) -> tuple[Tensor, bytes]:
        descriptor, path = tempfile.mkstemp(dir=os.environ[FOLDER])
        os.truncate(descriptor, nbytes)
        os.close(descriptor)
        return self.opened(path.encode(), nbytes), path.encode()

    def opened(self, handle: bytes, nbytes: int) -> Tensor:
        import torch

        from core.models.shared_weights.device_memory import DeviceMemoryError

        try:
            with Path(handle.decode()).open("r+b") as file:
                return torch.frombuffer(mmap.mmap(file.fileno(), nbytes), dtype=torch.uint8)
        except OSError as error:
            raise DeviceMemoryError(str(error)) from error


def install() -> None:
    """Have this process take its CPU for such a device."""
    import core.models.shared_weights.shared_base

    core.models.shared_weights.shared_base.device_memory = lambda device: FileMemory()


def main(folder: str) -> None:
    from core.common.home import Home
    from core.common.process import Identity
    from core.models.base import resolve
    from core.models.shared_weights.shared_base import open_base
    from tests.core.models.shared_weights.mapping_process import logits_digest

    install()
    home, source, own = Home.open(folder), resolve("builtin"), Identity.own()
    record = {"pid": own.pid, "started": own.started, "url": "", "base": source.id}
    (home.processes / "engine.json").write_text(json.dumps(record))
    opened = open_base(source, home, publish=True)
    print(json.dumps(vars(opened.how)), flush=True)
    for _ in sys.stdin:
        print(logits_digest(opened.model), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

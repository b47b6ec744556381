"""Compile the kernels for this machine's processor, so that the engine's first start need not.

python -m core.serving.kernels
"""

from __future__ import annotations

import sys
import time

from core.serving.kernels import runtime


def main() -> None:
    if reason := runtime.why_not():
        sys.stdout.write(f"Without compiled kernels: {reason}.\n")
        return
    began = time.perf_counter()
    runtime.kernels().compile_all()
    sys.stdout.write(f"The kernels are compiled for this processor ({time.perf_counter() - began:.0f} s).\n")


if __name__ == "__main__":
    main()

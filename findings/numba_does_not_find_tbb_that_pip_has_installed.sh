#!/usr/bin/env bash
# numba 0.68.1 and tbb 2023.2.0 from the registry, in a virtual environment on Linux: numba asks for TBB ("pip install
# tbb", says its error), and does not find the one that pip has installed. The wheel puts libtbb.so.12 into the
# environment's own lib folder, where neither the loader nor numba's extension module looks. Without a libgomp on the
# machine, numba then takes its own pool of threads in silence.
# Loaded once by its path, with its names for everybody, the very same library is found.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 tbb==2023.2.0
cat > "$folder/loop.py" <<'PYTHON'
import ctypes
import sys
from pathlib import Path

library = Path(sys.prefix) / "lib" / "libtbb.so.12"
assert library.is_file(), "the wheel has brought it"
if sys.argv[1] == "by its path":
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)

import numba
import numpy as np

numba.config.THREADING_LAYER = "tbb"


@numba.njit(parallel=True)
def total(x):
    found = 0.0
    for i in numba.prange(len(x)):
        found += x[i]
    return found


try:
    total(np.ones(1000))
    print(numba.threading_layer())
except ValueError as error:
    print("none:", " ".join(str(error).split())[:120])
PYTHON
as_installed=$("$folder/venv/bin/python" "$folder/loop.py" "as installed")
by_path=$("$folder/venv/bin/python" "$folder/loop.py" "by its path")
echo "as installed: $as_installed"
echo "loaded by its path: $by_path"
[[ "$as_installed" == none:*TBB* ]] || { echo "CHANGED: numba finds pip's TBB"; exit 1; }
[[ "$by_path" == tbb ]] || { echo "CHANGED: numba does not take TBB that is loaded already"; exit 1; }

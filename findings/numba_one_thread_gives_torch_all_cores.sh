#!/usr/bin/env bash
# numba 0.68.1 beside torch 2.13.0 on Linux, two cores or more: torch is told to use one thread (OMP_NUM_THREADS=1), then
# numba is told to use one, by `numba.set_num_threads(1)`, and from then on torch uses all cores. Nothing of numba's has
# run in parallel, and no function of torch was called.
# The first call starts numba's threads. Without TBB these are OpenMP's, and numba tells OpenMP how many there are: all
# cores, whatever was asked for. torch's CPU build asks the same OpenMP library.
set -euo pipefail
[ "$(nproc --all)" -ge 2 ] || { echo "needs two cores"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 torch==2.13.0
said=$(OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=2 "$folder/venv/bin/python" - <<'PYTHON'
import torch

before = torch.get_num_threads()
import numba

imported = torch.get_num_threads()
numba.set_num_threads(1)
print(before, imported, torch.get_num_threads(), numba.get_num_threads(), numba.threading_layer())
PYTHON
)
echo "torch's threads at first, with numba imported, after numba.set_num_threads(1); numba's own; its layer: $said"
[ "$said" = "1 1 2 1 omp" ] || { echo "CHANGED"; exit 1; }

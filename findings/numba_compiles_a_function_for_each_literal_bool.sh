#!/usr/bin/env bash
# numba 0.68.1: compiled code that calls a function with True in one place and with False in another has it compiled
# twice, and so all that it calls with that argument. The type of a literal bool holds its value. Literal integers,
# which have such types too, are all compiled as one int64. From Python both values are one bool.
# So a flag costs twice the time to compile, where an integer, or a field of an array, does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1
"$folder/venv/bin/python" - <<'PYTHON'
import numba


@numba.njit
def by_bool(x, flag):
    return x + 1 if flag else x


@numba.njit
def by_integer(x, flag):
    return x + 1 if flag else x


@numba.njit
def call_both(x):
    return by_bool(x, True) + by_bool(x, False) + by_integer(x, 1) + by_integer(x, 0)


call_both(1)
bools, integers = (len(function.signatures) for function in (by_bool, by_integer))
print(f"numba {numba.__version__}: compiled for bools {by_bool.signatures}, for integers {by_integer.signatures}")
assert (bools, integers) == (2, 1), "CHANGED"


@numba.njit
def from_python(x, flag):
    return x + 1 if flag else x


from_python(1, True), from_python(1, False)
assert len(from_python.signatures) == 1, "CHANGED"
PYTHON

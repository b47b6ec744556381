"""The collector rests while a process imports what it needs, and does not look at that afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from core.common.collector import imported_to_stay

FRESH_PROCESS = """
import gc
from core.common.collector import imported_to_stay
with imported_to_stay("decimal"):
    assert not gc.isenabled()
    import decimal
assert gc.isenabled()
frozen = gc.get_freeze_count()
with imported_to_stay("decimal"):
    assert gc.isenabled(), "what came with it is there already"
print(frozen > 1000, gc.get_freeze_count() == frozen)
"""


@pytest.mark.slow
def test_what_is_imported_is_not_looked_at_again_and_what_comes_later_is() -> None:
    told = subprocess.run([sys.executable, "-c", FRESH_PROCESS], capture_output=True, text=True)
    assert told.stdout.split() == ["True", "True"], told.stderr


def test_it_goes_on_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), imported_to_stay("no_such_module"):
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()

"""The data part must be importable by the web process, which has no torch."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_importing_the_data_part_loads_nothing_heavy() -> None:
    code = (
        "import sys, core.data, core.data.report, studio.cli.check_data;"
        "heavy = ('torch', 'transformers', 'datasets', 'pandas', 'pyarrow', 'huggingface_hub');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Gradio, imported by the studio: no stubs are written, and its components are whole all the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import ast, json, sys
read = []
segment = ast.get_source_segment
ast.get_source_segment = lambda source, node: read.append(node.name) or segment(source, node)
if "with" in sys.argv:
    import studio
import gradio
with gradio.Blocks():
    event = gradio.Textbox().submit(lambda: None)
print(json.dumps([len(read), type(event).__name__]))
"""


def sources_read(*arguments: str) -> tuple[int, str]:
    """How many sources of components the import reads for stubs; and the type of an event that is then bound."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    count, event = json.loads(ran.stdout.splitlines()[-1])
    return count, event


@pytest.mark.slow
def test_the_studio_imports_gradio_without_writing_stubs() -> None:
    count, event = sources_read("without")
    assert count > 50, "Gradio no longer writes stubs when it is imported: studio/ui/gradio_import.py can go"
    assert sources_read("with") == (0, event)

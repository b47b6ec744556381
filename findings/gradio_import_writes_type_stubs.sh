#!/usr/bin/env bash
# gradio 6.31.0: `import gradio` renders a type stub (.pyi) for each of its components, by parsing the component's source
# and a Jinja template, every time that it is imported. It compares each stub with the one beside the component, and
# writes into site-packages where one is missing or differs. Where nothing differs, which is every time but the first,
# the work is done all the same: a third to a half of the time of the import. There is no setting against it.
# Seen: 4.0 s as it comes, 2.8 s without.
# Who wants to start fast replaces gradio.component_meta.create_or_modify_pyi by an import hook before gradio is imported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0 huggingface-hub==2.4.0
"$folder/venv/bin/python" -c 'import gradio'  # the first import, which also compiles
"$folder/venv/bin/python" - <<'PYTHON'
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

COUNTED = """
import ast, json
parsed = []
segment = ast.get_source_segment
ast.get_source_segment = lambda source, node: parsed.append(node.name) or segment(source, node)
import gradio
print(json.dumps([len(parsed), gradio.__version__, gradio.__path__[0]]))
"""
PLAIN = "import gradio"
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name != "gradio.component_meta":
            return None
        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            module.create_or_modify_pyi = lambda *arguments: None
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder)
import gradio
gradio.Textbox
"""


def run(script: str) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


seconds = {name: [] for name in ("as it comes", "without stubs")}
for _ in range(5):
    seconds["as it comes"].append(run(PLAIN)[0])
    seconds["without stubs"].append(run(WITHOUT)[0])
parsed, version, where = json.loads(run(COUNTED)[1])
stub = Path(where) / "components" / "textbox.pyi"
kept = stub.read_text()
stub.unlink()
run(PLAIN)
print(f"gradio {version}: {parsed} sources of classes taken out for stubs in one import")
for name, times in seconds.items():
    print(f"{name}: {statistics.median(times):.2f} s, the median of {len(times)}")
print(f"a stub that was removed is back after `import gradio`: {stub.exists()}")
assert parsed > 100, "stubs are no longer made at every import"
assert stub.exists() and "def submit" in stub.read_text(), "a removed stub is not written again"
PYTHON
echo "As described."

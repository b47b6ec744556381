"""Runs the Dockerfile without a Docker engine: `python -m tests.studio.deploy.container [--arg CUDA=12]`.

The RUN and COPY steps of the build stage are carried out in a folder, in a clean virtual environment of the system's
Python; then the image's CMD is started as uid 1000 with the image's environment over a source tree owned by root,
asked for its health, looked at for files it wrote outside its home, and ended with SIGTERM. Not covered: the base
image and its packages (apt-get, useradd), the size of the layers, a GPU. Needs root, and the package index.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
UID = 1000
TOKEN = "a-token-for-the-trial"
PORT = 17860


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", "\n", "\n".join(lines) + "\n").split("\n")
    found: list[tuple[str, str]] = []
    for line in joined:
        match = re.match(r"([A-Z]+)\s+(.*)", line)
        if match:
            found.append((match[1], match[2].strip()))
        elif line.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def stages(text: str) -> list[list[tuple[str, str]]]:
    """The instructions of each stage, the one before the first FROM left out."""
    split: list[list[tuple[str, str]]] = []
    for name, arguments in instructions(text):
        if name == "FROM":
            split.append([])
        if split:
            split[-1].append((name, arguments))
    return split


def environment(stage: list[tuple[str, str]]) -> dict[str, str]:
    pairs = [pair for name, arguments in stage if name == "ENV" for pair in arguments.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def moved(text: str, root: Path) -> str:
    """Absolute paths of the image as paths beneath `root`."""
    return re.sub(r"(?<![\w/:.])/(opt/studio|build|app|home/studio)\b", rf"{root}/\1", text)


def build(stage: list[tuple[str, str]], root: Path, arguments: dict[str, str]) -> None:
    values = {"PATH": "/usr/bin:/bin", "HOME": str(root / "root"), "LANG": "C.UTF-8"}
    values |= {key: os.environ[key] for key in os.environ if key.startswith("PIP_")}
    shell = ["/bin/bash", "-euo", "pipefail", "-c"]
    folder = root
    for name, text in stage:
        text = moved(text, root)
        if name == "ARG":
            key, _, value = text.partition("=")
            values[key] = arguments.get(key, value.strip('"'))
        elif name == "ENV":
            values |= {k: v.replace("$PATH", values["PATH"]) for k, v in (pair.split("=", 1) for pair in text.split())}
        elif name == "WORKDIR":
            folder = Path(text)
            folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            copy(text.split(), folder)
        elif name == "RUN":
            print(f"RUN {text[:110]}", flush=True)
            # The image's `python` is the system's here, until the virtual environment comes first in PATH.
            text = text.replace("python -m venv", f"{sys_python()} -m venv")
            subprocess.run([*shell, text], cwd=folder, env=values, check=True)


def sys_python() -> str:
    return next(path for path in ("/usr/bin/python3.11", "/usr/bin/python3", sys.executable) if Path(path).exists())


def copy(arguments: list[str], folder: Path) -> None:
    *sources, target = (argument for argument in arguments if not argument.startswith("--"))
    for source in sources:
        to = folder / target
        if source.endswith("/"):
            shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, to / Path(source).name if target.endswith("/") else to)


def install(stage: list[tuple[str, str]], root: Path) -> None:
    """The end image's own files: the code, owned by root and writable by nobody; an empty home of uid 1000."""
    app = root / "app"
    app.mkdir()
    for name, text in stage:
        if name == "COPY" and "--from" not in text:
            copy(text.split(), app)
    for path in app.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    home = root / "home/studio"
    home.mkdir(parents=True)
    os.chown(home, UID, UID)


def start(stage: list[tuple[str, str]], root: Path) -> None:
    values = {key: moved(value, root) for key, value in environment(stage).items()}
    values |= {"PATH": f"{root}/opt/studio/bin:/usr/bin:/bin", "STUDIO_ACCESS_TOKEN": TOKEN, "LANG": "C.UTF-8"}
    command = json.loads(next(arguments for name, arguments in stage if name == "CMD"))
    command = [str(PORT) if word == "7860" else word for word in command]
    before = set(writable_elsewhere(root))
    print(f"CMD {' '.join(command)} as uid {UID}", flush=True)
    began = time.monotonic()
    with (root / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root / "app", env=values, user=UID, group=UID, extra_groups=[], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: status("/healthz") == 200, process, root)
        print(f"answers /healthz after {time.monotonic() - began:.1f} s", flush=True)
        wait_until(engine_is_ready, process, root)
        print(f"the engine is ready after {time.monotonic() - began:.1f} s", flush=True)
        print(f"a visitor without the token gets {status('/')}, with it {status('/', TOKEN)}", flush=True)
        process.send_signal(signal.SIGTERM)
        print(f"SIGTERM: exit code {process.wait(timeout=60)}", flush=True)
    finally:
        if process.poll() is None:
            process.kill()
    new = set(writable_elsewhere(root)) - before
    assert not new, f"written outside the home: {sorted(new)[:5]}"


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], root: Path, seconds: int = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, (root / "log.txt").read_text()
        try:
            if condition():
                return
        except OSError:
            pass  # it does not listen yet, or is too busy to answer
        time.sleep(0.5)
    raise AssertionError((root / "log.txt").read_text())


def engine_is_ready() -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=20) as answer:
        return bool(json.load(answer)["engine"] == "ready")


def status(path: str, token: str = "") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def writable_elsewhere(root: Path) -> Iterator[str]:
    """Files of uid 1000 that lie outside its home."""
    for folder in (root / "app", root / "opt", Path("/tmp")):
        for path in folder.rglob("*"):
            if path.lstat().st_uid == UID and not path.is_relative_to(root / "home"):
                yield str(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="a build argument")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder at the end")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("Run this as root: it starts the studio as uid 1000.")
    building, image = stages((ROOT / "Dockerfile").read_text())
    root = Path(tempfile.mkdtemp(prefix="studio-image-", dir="/var/tmp"))
    root.chmod(0o755)
    try:
        build(building, root, dict(argument.split("=", 1) for argument in args.arg))
        install(image, root)
        start(image, root)
    finally:
        if not args.keep:
            shutil.rmtree(root)
    print("Everything that can be tried without a Docker engine works.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Rules for the Dockerfile that need no Docker engine. container.py beside this carries its steps out."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from studio.deploy import space
from tests.studio.deploy.container import environment, instructions, stages

TEXT = (space.ROOT / "Dockerfile").read_text()
BUILD, IMAGE = stages(TEXT)


def all_of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for instruction, arguments in stage if instruction == name]


def test_two_stages_of_one_tagged_base_image() -> None:
    froms = [arguments for name, arguments in instructions(TEXT) if name == "FROM"]
    assert froms == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", TEXT, re.MULTILINE)
    assert re.fullmatch(r"python:3\.1\d-slim-\w+", image), "a version, and never latest"


def test_it_runs_as_uid_1000_and_nothing_after_that_is_done_as_root() -> None:
    names = [name for name, _ in IMAGE]
    assert all_of(IMAGE, "USER") == ["1000"]
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])
    assert any("useradd" in run and "--uid 1000" in run for run in all_of(IMAGE, "RUN"))


def test_the_code_belongs_to_root_and_all_caches_lie_under_the_home() -> None:
    assert not any("--chown" in arguments or "--chmod" in arguments for arguments in all_of(IMAGE, "COPY"))
    values = environment(IMAGE)
    home = values["HOME"]
    for name in ("HF_HOME", "GRADIO_TEMP_DIR", "TRITON_CACHE_DIR"):
        assert values[name].startswith(f"{home}/")


def test_packages_are_installed_lean_and_only_where_they_are_needed() -> None:
    (run,) = [run for run in all_of(IMAGE, "RUN") if "apt-get" in run]
    assert "--no-install-recommends" in run
    assert "rm -rf /var/lib/apt/lists/*" in run
    assert re.search(r"install --yes --no-install-recommends ([a-z0-9 -]+?) &&", run)[1].split() == ["gcc", "libc6-dev"]  # type: ignore[index]
    assert not any("pip" in run or "curl" in run for run in all_of(IMAGE, "RUN"))
    assert environment(BUILD)["PIP_NO_CACHE_DIR"] == "1"


def test_layers_cache_torch_first_then_packages_then_code() -> None:
    steps = [(name, text) for name, text in BUILD if name in ("RUN", "COPY")]
    torch = next(i for i, (_, text) in enumerate(steps) if "torch=" in text)
    copied = next(i for i, (name, _) in enumerate(steps) if name == "COPY")
    assert torch < copied < len(steps) - 1
    assert all_of(BUILD, "COPY") == ["pyproject.toml ./"], "a change of the code must not install the packages anew"


def test_it_answers_sigterm_health_and_the_spaces_port() -> None:
    assert json.loads(all_of(IMAGE, "CMD")[0])[:6] == ["python", "-m", "studio", "serve", "--host", "0.0.0.0"]
    assert all_of(IMAGE, "STOPSIGNAL") == ["SIGTERM"]
    readme = space.front_matter((space.ROOT / "README.md").read_text())
    assert all_of(IMAGE, "EXPOSE") == [str(readme["app_port"])]
    assert f"127.0.0.1:{readme['app_port']}/healthz" in all_of(IMAGE, "HEALTHCHECK")[0]


def test_no_secret_and_no_host_is_in_it() -> None:
    assert not re.search(r"hf_\w{8}|password|https?://(?!127\.0\.0\.1)", TEXT, re.IGNORECASE)
    assert not any(re.search(r"TOKEN|SECRET", arguments) for arguments in all_of(BUILD, "ARG") + all_of(IMAGE, "ENV"))


@pytest.mark.slow
@pytest.mark.parametrize(("cuda", "wanted"), [("12", "torch>=2.9,<2.11"), ("13", "torch>=2.11,<2.14")])
def test_the_build_argument_chooses_the_cuda_build_of_torch(cuda: str, wanted: str, tmp_path: Path) -> None:
    done = chosen(cuda, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"-m pip install {wanted}"


@pytest.mark.slow
@pytest.mark.parametrize(("cuda", "says"), [("11", "CUDA must be 12, 13 or cpu"), ("cpu", "needs TORCH_INDEX_URL")])
def test_a_build_that_cannot_be_is_refused_with_the_reason(cuda: str, says: str, tmp_path: Path) -> None:
    done = chosen(cuda, tmp_path)
    assert done.returncode == 1
    assert says in done.stdout


def chosen(cuda: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The step that installs torch, with a `python` that says what it was asked for."""
    (step,) = [run for run in all_of(BUILD, "RUN") if "torch=" in run]
    python = folder / "python"
    python.write_text('#!/bin/sh\necho "$@"\necho torch==2.10.0\n')
    python.chmod(0o755)
    values = {"PATH": f"{folder}:/usr/bin:/bin", "CUDA": cuda, "TORCH_INDEX_URL": ""}
    command = ["/bin/bash", "-euo", "pipefail", "-c", step]
    return subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True, check=False)


def test_only_what_is_copied_reaches_the_build() -> None:
    ignore = (space.ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        path
        for copy in all_of(BUILD, "COPY") + all_of(IMAGE, "COPY")
        if "--from" not in copy
        for path in copy.split()[:-1]
    }
    assert let_in == copied
    assert all((space.ROOT / path).exists() for path in copied)
    assert copied - {".dockerignore"} <= {f"{folder}/" for folder in space.FOLDERS} | set(space.FILES)

"""The command that plans a recipe: what it prints must be what was planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.__main__ import main
from tests.core.planner.configs import LLAMA_2_7B, MIXTRAL


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_2_7B))
    return path


def test_command_fits(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--base", str(config), "--gpu", "t4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["fits"]
    assert answer["total"] == sum(part["bytes"] for part in answer["parts"])
    assert answer["parameters"] == 6_738_415_616


def test_command_does_not_fit(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--base", str(config), "--gpu", "10GB", "--kv-tokens", "512", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["fits"]
    assert answer["fits_without_chat"]
    assert main(["plan", "--base", str(config), "--gpu", "10GB", "--no-chat"]) == 0
    assert main(["plan", "--base", str(config), "--gpu", "10GB", "--kv-tokens", "512", "--shared", "yes"]) == 0


def test_command_plans_a_recipe_with_its_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("dataset_name: pirate\nmax_steps: 5\n")
    assert main(["plan", str(recipe), "--gpu", "cpu", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["steps"] == 5
    assert answer["tokens_per_epoch"] > 1000
    assert main(["plan", str(recipe), "--gpu", "cpu", "--compare"]) == 0
    shown = capsys.readouterr().out
    assert "5 steps in all" in shown
    assert "It fits" in shown
    assert "QLoRA" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gpu", "t5"],
        ["--kv-tokens", "0"],
        ["--base", "./nowhere"],
        ["--base", "~nobody-here/model"],
        ["--base", ""],
        ["missing.yaml"],
    ],
)
def test_command_wrong_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *arguments]) == 2
    assert capsys.readouterr().err.startswith("Error: ")


def test_command_refuses_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(MIXTRAL))
    assert main(["plan", "--base", str(tmp_path)]) == 2
    assert "mixture of experts" in capsys.readouterr().err

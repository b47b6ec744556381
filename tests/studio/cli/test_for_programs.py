"""--json: a program gets one JSON object on stdout, whatever happens, and people still read on stderr what is wrong."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from core.common.home import Home
from studio import __main__ as command_line
from studio.__main__ import main
from studio.cli import check_data, doctor, plan

GOOD = '{"text": "### Human: Hi ### Assistant: Hello"}\n'


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    out, err = capsys.readouterr()
    return json.loads(out), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check-data", "--json"], "arguments are required: FILE"),
        (["check-data", "none.jsonl", "--json"], "There is no file none.jsonl"),
        (["check-data", "empty.jsonl", "--json"], "is empty"),
        (["check-data", "good.jsonl", "--json", "--format", "nonsense"], "invalid choice: 'nonsense'"),
        (["check-data", "good.jsonl", "--js", "--max-length", "many"], "invalid int value: 'many'"),
        (["check-data", "good.jsonl", "--json", "--max-length", "0"], "--max-length is 0"),
        (["check-data", "good.jsonl", "--json", "--columns", "question=Frage"], "No row has a column 'Frage'"),
        (["check-data", "good.jsonl", "--json", "--base", "./nowhere"], "nowhere"),
        (["check-data", "good.jsonl", "--json", "--no-such-option"], "nrecognized arguments: --no-such-option"),
        (["plan", "--json", "none.yaml"], "The recipe none.yaml cannot be read"),
        (["plan", "--json", "--gpu", "abacus"], "abacus"),
        (["plan", "--json", "--shared", "perhaps"], "invalid choice: 'perhaps'"),
        (["doctor", "--json", "--home"], "expected one argument"),
        (["no-such-command", "--json"], "invalid choice: 'no-such-command'"),
    ],
)
def test_what_goes_wrong_is_a_json_object_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(GOOD)
    (tmp_path / "empty.jsonl").touch()
    assert main(arguments) == 2
    told, for_people = printed(capsys)
    assert list(told) == ["error"] and message in told["error"]["message"] and told["error"]["remedy"]
    assert told["error"]["message"] in for_people


@pytest.mark.parametrize(("command", "name"), [(check_data, "check-data"), (plan, "plan"), (doctor, "doctor")])
@pytest.mark.parametrize(("error", "code"), [(RuntimeError("no such luck"), 2), (KeyboardInterrupt(), 130)])
def test_so_is_what_nobody_foresaw(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Any,
    name: str,
    error: BaseException,
    code: int,
) -> None:
    def fail(args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(command, "run", fail)
    arguments = [name, "x"] if command is check_data else [name]
    assert main([*arguments, "--json"]) == code
    told, for_people = printed(capsys)
    assert str(error) in told["error"]["message"]
    assert ("Traceback" in for_people) == isinstance(error, RuntimeError)


def test_a_package_that_stands_in_the_way_is_told_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "find_foreign_packages", lambda: ["The package core comes from elsewhere."])
    assert main(["doctor", "--json"]) == 2
    assert "comes from elsewhere" in printed(capsys)[0]["error"]["message"]


@pytest.mark.slow
def test_the_doctor_is_one_object(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json", "--home", str(home.root)])
    assert "problems" in printed(capsys)[0]


def test_a_terminal_that_is_not_utf_8_gets_the_same_object(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["check-data", str(tmp_path / "Gespräche \udcff.jsonl"), "--json"]) == 2
    sys.stdout.flush()
    assert "Gespräche \udcff.jsonl" in json.loads(raw.getvalue())["error"]["message"]


def test_without_it_nothing_is_printed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["check-data", "none.jsonl"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: There is no file none.jsonl")

"""`check-data` as scripts and people use it: shape of --json, exit codes, what is printed."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

import core.models.base
from adapters.common.errors import UserError
from studio.cli import check_data
from tests.core.data.tokenize.templates import tokenizer_for

GOOD = '{"text": "### Human: Hi ### Assistant: Hello"}\n'
BAD = '{"text": "### Human: Hi ### Human: Hi"}\n'
TRIMMED = '{"text": "### Human: Ho ### Assistant: Hello ### Human: [bold]Bye"}\n'


@pytest.fixture(autouse=True)
def byte_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token counts that can be told by hand, and no dependence on the built-in base's weights."""
    monkeypatch.setattr(core.models.base, "load_tokenizer", lambda source: tokenizer_for("chatml"))


def check(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    check_data.add_parser(parser.add_subparsers())
    args = parser.parse_args(["check-data", *arguments])
    code: int = args.run(args)
    return code


def test_json_has_exactly_the_promised_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(GOOD + BAD + TRIMMED)
    assert check(str(file), "--json", "--max-length", "20") == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    # <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n, one token per byte or special token
    length = (1 + 5 + 2 + 1 + 1) + (1 + 10 + 5 + 1 + 1)
    assert report == {
        "format": "guanaco",
        "evidence": '3 of 3 rows have "### Human:" / "### Assistant:" turns in a text',
        "rows": 3,
        "conversations": 2,
        "turns": 4,
        "problems": [
            {
                "row": 2,
                "what": "It has only human turns: there is no answer to learn.",
                "remedy": "Add an assistant turn, or remove it.",
            }
        ],
        "tokens": {
            "mean": length,
            "p50": length,
            "p95": length,
            "max": length,
            "trained_share": round(6 / length, 4),
            "over_max_length": 2,
        },
    }
    assert "row 3: It ends with a human turn" in printed.err


def test_exit_0_when_every_row_converts_and_the_table_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(GOOD + TRIMMED)
    assert check(str(file)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("guanaco", "conversations │ 2", "turns │ 4", "problems │ 0", "notes │ 1", "nobody answers"):
        assert words in printed


def test_problems_are_listed_with_row_reason_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(GOOD + BAD * 150)
    assert check(str(file)) == 1
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("Problems", "only human turns", "Add an assistant turn", "50 more"):
        assert words in printed


def test_a_file_that_cannot_be_read_raises_what_the_command_line_turns_into_exit_2(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(UserError, match="is empty"):
        check(str(tmp_path / "a.jsonl"))


def test_a_format_can_be_given_and_an_unknown_one_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(GOOD)
    assert check(str(file), "--format", "guanaco") == 0
    assert check(str(file), "--format", "alpaca") == 1
    with pytest.raises(SystemExit) as caught:
        check(str(file), "--format", "nonsense")
    assert caught.value.code == 2


def test_a_length_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match="--max-length is 0"):
        check("pirate", "--max-length", "0")


def test_user_text_is_not_taken_for_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(GOOD + '{"text": "[red]x ### Human: Hi ### Assistant: b"}\n')
    check(str(file))
    assert "[red]x" in capsys.readouterr().out


def test_conversations_that_will_be_cut_are_noted_with_what_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(GOOD)
    assert check(str(file), "--json", "--max-length", "25") == 0  # the answer begins at 21, its last token is the 27th
    assert (
        "It has 28 tokens; what is beyond 25 is cut, and with it 2 of its 6 trained tokens" in capsys.readouterr().err
    )
    assert check(str(file), "--json", "--max-length", "10") == 0
    assert "all that it would teach" in capsys.readouterr().err
    assert check(str(file), "--json", "--max-length", "28") == 0
    assert capsys.readouterr().err == ""


def test_lengths_and_packing_are_drawn_in_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "What?", "completion": "word " * (4 * number)} for number in range(1, 31)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert check(str(path), "--max-length", "300", "--json") == 0
    over = json.loads(capsys.readouterr().out)["tokens"]["over_max_length"]
    assert check(str(path), "--max-length", "300") == 0
    shown = capsys.readouterr().out
    assert "rows of 300 instead of 30" in shown
    bars = re.findall(r"([\d,]+) to ([\d,]+) [█ ]+ (\d+)$", shown, re.M)
    assert sum(int(count) for *_, count in bars) == 30
    assert sum(int(count) for begin, _, count in bars if int(begin) > 300) == over > 0


def test_short_texts_have_bars_of_whole_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "abc"}\n{"text": "abcd"}\n')
    assert check(str(path)) == 0
    bars = re.findall(r"^ +([\d,]+) [█ ]+ (\d+)$", capsys.readouterr().out, re.M)
    assert [(int(length), int(count)) for length, count in bars if count != "0"] == [(4, 1), (5, 1)]


def test_several_files_and_folders_are_checked_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (tmp_path / "a.jsonl").write_text(GOOD)
    (folder / "b.jsonl").write_text(GOOD * 2)
    assert check(str(tmp_path / "a.jsonl"), str(folder), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 3

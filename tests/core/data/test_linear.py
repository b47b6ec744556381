"""Reading takes time in proportion to a row's length, whatever is in it: a long row does not stand still."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow
from core.data.formats import detect_row

pytestmark = pytest.mark.slow

SMALL, LARGE = 1_500, 12_000

SHAPES = {
    "guanaco on one line": lambda n: "### Human: a ### Assistant: b " * n,
    "guanaco on lines": lambda n: "### Human: a\n### Assistant: b\n" * n,
    "guanaco with code": lambda n: "### Human: a\n### Assistant:\n```\nx ### Human: q\n```\n" * n,
    "guanaco with a fence and spaces": lambda n: "### Human: a ### Assistant: ```" + " " * n * 4 + "x:y",
    "vicuna": lambda n: "USER: a ASSISTANT: b</s>" * n,
    "vicuna's questions alone": lambda n: "### Human: a ### Assistant: b" + " USER: a" * n,
    "llama2": lambda n: "<s>[INST] a [/INST] b </s>" * n,
    "llama2 out of order": lambda n: "[INST]" + "[/INST]" * n + "[INST]" * (n - 1),
    "llama2 with spaces": lambda n: "[INST] a [/INST] b" + " " * n * 4 + "c [INST] d [/INST] e",
    "chatml": lambda n: "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n" * n,
    "llama3": lambda n: "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>" * n,
    "harmony": lambda n: "<|start|>user<|message|>a<|end|><|start|>assistant<|message|>b<|end|>" * n,
    "zephyr with ends": lambda n: "<|user|>a</s><|assistant|>b" + "</s> " * n,
    "alpaca": lambda n: "### Instruction: a ### Response: b " * n,
    "transcript": lambda n: "Human: a\nAssistant: b\n" * n,
    "prose with blank lines": lambda n: "a" + "\n \n" * n * 4 + "b",
    "prose with ends": lambda n: "a " + "</s> <s>" * n,
    "chatml with spaces": lambda n: "<|im_start|>user\na<|im_end|>" + " " * n * 4 + "x",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_text_is_read_in_time_in_proportion_to_its_length(shape: str) -> None:
    """Eight times the length takes about eight times as long; sixty-four times where a step looks at all the rest."""
    small, large = ({"text": SHAPES[shape](n)} for n in (SMALL, LARGE))
    assert detect_row(small)
    assert seconds(large) < 30 * max(seconds(small), 0.005)


def seconds(row: dict[str, Any]) -> float:
    def once() -> float:
        begun = time.process_time()
        list(DatasetChecker(iter([DatasetRow(1, row)])))
        return time.process_time() - begun

    return min(once(), once())


def test_a_message_about_many_columns_names_the_first_and_counts_the_rest() -> None:
    (problem,) = problems_of({f"column {number}" * 50: "" for number in range(5_000)} | {"prompt": "a"})
    assert "and 4,981 more" in problem and len(problem) < 3_000


def problems_of(row: dict[str, Any]) -> list[str]:
    scan = DatasetChecker(iter([DatasetRow(1, row)]), "prompt-completion")
    list(scan)
    return [problem.what for problem in scan.problems]

"""Answers that were compared or labelled: recognised, and trained only if asked for."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.common.errors import UserError
from tests.core.data.formats.converting import scan_of, talk

PREFERENCES: list[dict[str, Any]] = [
    {"prompt": "Who?", "chosen": "Ann", "rejected": "Bob"},
    {"chosen": talk("Who?", "Ann"), "rejected": talk("Who?", "Bob")},
    {"prompt": talk("Who?"), "chosen": [*talk("x", "Ann")[1:]], "rejected": [*talk("x", "Bob")[1:]]},
    {"question": "Who?", "chosen": {"role": "assistant", "content": "Ann"}, "rejected": "Bob"},
    {"chosen": "\n\nHuman: Who?\n\nAssistant: Ann", "rejected": "\n\nHuman: Who?\n\nAssistant: Bob"},
    {
        "conversations": talk("Who?"),
        "chosen": {"from": "gpt", "value": "Ann"},
        "rejected": {"from": "gpt", "value": "Bob"},
    },
    {"instruction": "Who?", "input": "", "chosen": "Ann", "rejected": "Bob"},
]


@pytest.mark.parametrize("row", PREFERENCES)
def test_preference_data_is_recognised_and_trained_only_if_asked_for(row: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"preference data.*ask for the format 'preference'"):
        scan_of(row)
    (conversation,) = scan_of(row, dataset_format="preference")
    assert conversation.messages == talk("Who?", "Ann")


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": "Who?", "completion": name, "label": name == "Ann"} for name in ("Ann", "Bob")],
        [{"prompt": "Who?", "completion": name, "label": str(name == "Ann")} for name in ("Ann", "Bob")],  # from a CSV
        [{"messages": talk("Who?", name), "label": name == "Ann"} for name in ("Ann", "Bob")],
        [{"messages": talk("Who?", name), "kto_tag": name == "Ann"} for name in ("Ann", "Bob")],
    ],
)
def test_labelled_answers_are_recognised_and_only_the_good_ones_trained_if_asked_for(
    rows: list[dict[str, Any]],
) -> None:
    with pytest.raises(UserError, match="labelled good or bad"):
        scan_of(*rows)
    scan = scan_of(*rows, dataset_format="kto")
    assert [conversation.messages for conversation in scan] == [talk("Who?", "Ann")]
    assert [note.row for note in scan.notes] == [2] and scan.problems == []


def test_a_preference_row_among_examples_is_a_problem() -> None:
    scan = scan_of({"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "b"}, PREFERENCES[0])
    assert len(list(scan)) == 2
    assert [problem.row for problem in scan.problems] == [3]


def test_a_label_that_is_no_thumb_is_a_column_like_any_other() -> None:
    scan = scan_of(
        {"messages": talk("Who?", "Ann"), "label": "history"}, {"prompt": "a", "completion": "b", "label": 3}
    )
    assert len(list(scan)) == 2

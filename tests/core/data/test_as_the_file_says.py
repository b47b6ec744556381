"""Odd but valid rows: what is learnt of them is what they say, or they are problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.data import Conversation, read_dataset
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow, Message
from tests.core.data.checked_rows import check_rows, problem_of

Q, A = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CALLS = [{"type": "function", "function": {"name": "weather", "arguments": {}}}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def conversation_of(row: dict[str, Any], dataset_format: str | None = None) -> Conversation:
    (conversation,), _ = check_rows(row, dataset_format=dataset_format)
    return conversation


def turns_of(row: dict[str, Any], dataset_format: str | None = None) -> list[Message]:
    return conversation_of(row, dataset_format).messages


def test_a_system_column_beside_a_system_message_is_the_same_or_a_problem() -> None:
    own = {"role": "system", "content": "Be brief."}
    for row, given in (
        ({"messages": [own, Q, A]}, None),
        ({"prompt": [own, Q], "completion": [A]}, None),
        ({"prompt": [own, Q], "chosen": [A], "rejected": [A]}, "preference"),
        ({"chosen": [own, Q, A], "rejected": [A]}, "preference"),
    ):
        assert "two different system prompts" in problem_of({**row, "system": "Be long."}, given), row
        assert turns_of({**row, "system": " Be brief.\n"}, given) == [own, Q, A]
        assert turns_of({**row, "system": None}, given) == [own, Q, A]


def test_a_system_column_takes_the_place_of_a_blank_system_message() -> None:
    row = {"system": "Be brief.", "messages": [{"role": "system", "content": " "}, Q, A]}
    assert turns_of(row) == [{"role": "system", "content": "Be brief."}, Q, A]


def test_tools_beside_a_prompt_or_a_compared_answer_in_turns_are_shown_to_the_base() -> None:
    calls = {"role": "assistant", "content": "", "tool_calls": CALLS}
    for row, given in (
        ({"prompt": [Q], "completion": [calls]}, None),
        ({"prompt": [Q], "chosen": [calls], "rejected": [A]}, "preference"),
        ({"prompt": [Q], "completion": [calls], "label": True}, "kto"),
    ):
        conversation = conversation_of({**row, "tools": TOOLS}, given)
        assert (conversation.messages, conversation.tools) == ([Q, calls], TOOLS)


def test_a_part_of_an_answer_is_context_under_every_mark_that_a_turn_may_have() -> None:
    def marked(**marks: Any) -> dict[str, Any]:
        parts = [{"type": "text", "text": "one ", **marks}, {"type": "text", "text": "two"}]
        return {"messages": [Q, {"role": "assistant", "content": parts}]}

    _, answer = turns_of(marked(masked=True))
    assert answer["untrained"] == [[0, 4]]
    assert "`mask`" in problem_of(marked(mask=1))


def test_turns_of_input_and_output_are_one_talk_in_a_file_of_one_row_too(tmp_path: Path) -> None:
    talk = [{"system": "Be brief.", "input": "q", "output": "a"}, {"input": "q", "output": "a", "loss": False}]
    row = {"conversation": talk}
    expected = [{"role": "system", "content": "Be brief."}, Q, A, Q, {**A, "weight": 0}]
    for count in (1, 2):
        path = tmp_path / f"{count}.jsonl"
        path.write_text("\n".join([json.dumps(row)] * count))
        found = read_dataset(str(path))
        assert [conversation.messages for conversation in found.conversations] == [expected] * count


def test_a_quote_that_makes_many_rows_of_one_column_a_single_talk_is_told(tmp_path: Path) -> None:
    rows = [f"### Human: q{number} ### Assistant: a{number}" for number in range(10)]
    rows[2], rows[8] = f'"{rows[2]}', f'{rows[8]}"'
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text", *rows]))
    found = read_dataset(str(path))
    assert len(found.conversations) == 4
    assert any("Lines 4 to 10 are one row" in note.what for note in found.notes)
    path.write_text('text\n"### Human: q ### Assistant: a poem\n\nof some lines\nand more\nand more"\n')
    assert not read_dataset(str(path)).notes


def test_turns_that_keep_the_marks_of_who_speaks_are_refused_by_the_markups_name() -> None:
    preface = "Below is an instruction.\n\n### Instruction:\nq\n\n"
    for question, answer, name in (
        ("### Human: q", "### Assistant: a", "guanaco"),
        ("### Instruction:\nq", "### Response:\na", "alpaca-text"),
        (preface, "### Response:\na", "alpaca-text"),
        ("USER: q", "ASSISTANT: a", "vicuna"),
        ("Human: q", "Assistant: a", "transcript"),
    ):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        assert f"as {name} does" in problem_of({"messages": turns})
        assert f"as {name} does" in problem_of({"question": question, "answer": answer})
    turns = [{**Q, "content": "Q: q"}, {**A, "content": "A: a"}]  # may well be meant
    assert turns_of({"messages": turns}) == turns
    turns = [{**Q, "content": "How does a transcript begin?"}, {**A, "content": "Assistant: is what it may say."}]
    assert turns_of({"messages": turns}) == turns


def test_conversations_that_lost_their_marks_or_line_breaks_are_not_trained_as_prose() -> None:
    for text in (
        "A chat.\n\nHuman: q\n\nAssistant: a",
        "**User:** q\n\n**Assistant:** a",
        "Human: q Assistant: a",
        "User: q\\nAssistant: a",
        "Question: q Answer: a",
        "user\nq\nassistant\na",
        "<|prompt|>q<|answer|>a",
        json.dumps([Q, A]),
        str([Q, A]),
    ):
        assert "which is not read here" in problem_of({"text": text}), text
        assert turns_of({"text": text}, "text") == [{"role": "text", "content": text}]
    for text in (
        "The user: a person. The assistant waits.",
        "[{x}] is a set in a list.",
        "To whom it may concern:\nAI",
    ):
        assert turns_of({"text": text}) == [{"role": "text", "content": text}]


def test_a_row_is_left_out_under_every_mark_that_a_turn_may_have() -> None:
    for mark in ({"training": False}, {"loss_mask": 0}, {"step_loss_mask": "0"}, {"loss_scale": 0.0}, {"masked": True}):
        for columns in (None, "question=question,answer=answer"):
            scan = DatasetChecker([DatasetRow(1, {"question": "q", "answer": "a", **mark})], columns=columns)
            assert list(scan) == [] and not scan.problems, mark
            assert any("it is left out" in note.what for note in scan.notes), mark
    for other in ({"training": True}, {"loss_mask": 1}, {"loss": 0.3}, {"masked": False}):
        assert turns_of({"question": "q", "answer": "a", **other}) == [Q, A]


def test_rows_of_a_table_that_leave_other_rows_columns_empty_are_read_by_their_own() -> None:
    rows: list[dict[str, Any]] = [
        {"messages": None, "question": "q", "answer": "a"},
        {"messages": None, "question": "q", "answer": "a"},
        {"messages": [Q, A], "question": None, "answer": ""},
    ]
    scan = DatasetChecker([DatasetRow(number, row) for number, row in enumerate(rows, start=1)])
    assert [conversation.messages for conversation in scan] == [[Q, A]] * 3
    assert "empty" in problem_of({"question": "", "answer": " "}, "question-answer")


def test_what_is_told_of_a_row_is_short_whatever_names_and_values_it_holds() -> None:
    long = "x" * 100_000
    call = {"function": {"name": long, "arguments": "{"}}
    for turn in ({"role": long}, {"weight": long}, {long: "z"}, {"tool_calls": [call]}, {"content": [{"type": long}]}):
        scan = DatasetChecker([DatasetRow(1, {"messages": [Q, {**A, **turn}], long: 1})])
        list(scan)
        assert all(len(problem.what + problem.remedy) < 2500 for problem in [*scan.problems, *scan.notes])
        assert scan.problems or scan.notes


def test_a_number_of_thousands_of_digits_is_a_problem_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": "a"}) + '\n{"question": "q", "id": 1' + "0" * 5000 + "}\n")
    (problem,) = read_dataset(str(path)).problems
    assert "more digits than can be read" in problem.what and "sys." not in problem.what


def test_a_calls_arguments_are_read_under_each_of_their_names_or_the_row_is_a_problem() -> None:
    def called(**call: Any) -> dict[str, Any]:
        turn = {"role": "assistant", "content": "", "tool_calls": [{"name": "weather", "id": "1", **call}]}
        return {"messages": [Q, turn], "tools": TOOLS}

    for name in ("arguments", "parameters", "args", "input"):
        _, answer = turns_of(called(**{name: {"city": "Bern"}}))
        assert answer["tool_calls"][0]["function"]["arguments"] == {"city": "Bern"}
    assert "under city" in problem_of(called(city="Bern"))
    assert "under arguments, input" in problem_of(called(arguments={}, input={"city": "Bern"}))
    _, answer = turns_of(called(arguments=None))
    assert answer["tool_calls"][0]["function"]["arguments"] == {}


def test_what_a_call_says_beside_its_name_and_arguments_is_told_as_not_read() -> None:
    call = {"id": "1", "function": {"name": "weather", "arguments": {}, "confidence": 0.5}, "cost": 3, "note": None}
    turns = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "tool_calls": [call]}]
    answered = [{"role": "tool", "content": "No."}, {"role": "assistant", "content": "No rain."}]
    scan = DatasetChecker([DatasetRow(1, {"messages": turns + answered})])
    assert len(list(scan)) == 1
    unread = {note.what for note in scan.notes}
    assert unread == {f"The key `tool_calls.{key}` of turns is not read (1 row)." for key in ("confidence", "cost")}


def test_functions_beside_tools_are_told_as_not_read() -> None:
    scan = DatasetChecker([DatasetRow(1, {"messages": [Q, A], "tools": TOOLS, "functions": [{"name": "other"}]})])
    assert len(list(scan)) == 1 and any("`functions` is not read" in note.what for note in scan.notes)

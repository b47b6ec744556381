"""What the page says of a dataset that was read: how it is divided, what is remarked, why it cannot be read."""

from __future__ import annotations

from adapters.common.errors import UserError
from core.data import Conversation, Message, Problem, read_dataset, split
from studio.data.summary_view import kinds, languages, render_split, render_unreadable


def test_the_division_is_the_one_that_training_makes() -> None:
    dataset = read_dataset("pirate")
    train, held_out = split(dataset.conversations, 0.1, 7)
    said = render_split(dataset, None, 0.1, 7)
    assert f"<b>{len(train):,}</b> to train on, <b>{len(held_out):,}</b> held out" in said
    assert f"drawn from {len(dataset.conversations):,}" in render_split(dataset, 50, 0.1, 7)
    assert "<b>45</b> to train on, <b>5</b>" in render_split(dataset, 50, 0.1, 7)


def test_remarks_of_one_kind_are_counted_together_and_languages_by_their_share() -> None:
    notes = [Problem(row, f'It says the same as row {row - 1}, "x{row}".', "") for row in range(2, 5)]
    assert kinds(notes) == "3 × It says the same as row N, …"
    talks = [[Message(role="user", content=text)] for text in ["Привет"] + ["What is the time?"] * 3]
    assert languages([Conversation(1, talk) for talk in talks]) == "English 75%, Cyrillic script 25%"
    assert "<script>" not in render_unreadable(UserError("<script>", "See https://x.example/a?b=<i>"))

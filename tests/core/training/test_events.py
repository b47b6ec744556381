from pathlib import Path

from core.training.events import (
    Checkpoint,
    Done,
    Evaluation,
    Note,
    Progress,
    SampleAnswer,
    StateChanged,
    append_event,
    read_events,
)

PROGRESS = Progress(step=1, max_steps=9, epoch=0.1, loss=2.5, learning_rate=1e-3, tokens=70, seconds=1.5)


def test_every_kind_comes_back_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = [
        StateChanged(state="training", reason="because – so"),
        PROGRESS,
        Evaluation(step=1, eval_loss=2.0, best=True),
        Checkpoint(step=1, path="checkpoints/checkpoint-1"),
        SampleAnswer(step=1, prompt="Ahoy?", answer="Arr\nmatey"),
        Note(text="a note"),
        Done(adapter="pirate"),
    ]
    for event in events:
        append_event(path, event)
    assert read_events(path)[0] == events


def test_reading_goes_on_where_it_left_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_events(path) == ([], 0)
    append_event(path, Note(text="one"))
    _, offset = read_events(path)
    append_event(path, Note(text="two"))
    events, end = read_events(path, offset)
    assert [event.text for event in events if isinstance(event, Note)] == ["two"]
    assert end == path.stat().st_size


def test_a_line_being_written_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append_event(path, Note(text="one"))
    whole = path.read_bytes()
    append_event(path, Note(text="two"))
    both = path.read_bytes()
    path.write_bytes(both[:-5])
    events, offset = read_events(path)
    assert len(events) == 1 and offset == len(whole)
    path.write_bytes(both)
    assert len(read_events(path, offset)[0]) == 1


def test_a_torn_line_spoils_neither_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append_event(path, Note(text="before"))
    with path.open("ab") as file:
        file.write(b'{"kind": "progress", "step": 3, "los')  # the worker was killed here
    append_event(path, Note(text="after"))
    assert [event.text for event in read_events(path)[0] if isinstance(event, Note)] == ["before", "after"]


def test_of_a_newer_version_unknown_kinds_are_skipped_and_unknown_fields_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"kind": "hologram", "at": 1}\n{"kind": "note", "at": 1, "text": "x", "colour": "red"}\n3\n')
    append_event(path, PROGRESS)
    assert read_events(path)[0] == [Note(at=1.0, text="x"), PROGRESS]

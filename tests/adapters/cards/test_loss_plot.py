"""Loss curves from real TensorBoard files, and the picture of them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy
import pytest
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter

from adapters.cards import loss_plot as plot
from adapters.cards.loss_plot import draw, loss_plot, read_curves


def write_events(folder: Path, points: list[tuple[str, int, float]]) -> Path:
    writer = EventFileWriter(str(folder / "tensorboard"))
    for tag, step, value in points:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(step=step, summary=summary))
    writer.close()
    return next((folder / "tensorboard").iterdir())


def losses(steps: int) -> list[tuple[str, int, float]]:
    return [("train/loss", step, 3 * math.exp(-step / 20) + 0.5) for step in range(1, steps + 1)]


def test_curves_are_read_by_step(tmp_path: Path) -> None:
    path = write_events(
        tmp_path, [*losses(3), ("eval/loss", 3, 1.5), ("train/grad_norm", 3, 9.0), ("eval/loss", 4, math.nan)]
    )
    curves = read_curves([path])
    assert [step for step, _ in curves["training loss"]] == [1, 2, 3]
    assert curves["evaluation loss"] == [(3, 1.5)]
    assert set(curves) == {"training loss", "evaluation loss"}


def test_the_picture_shows_the_curve(tmp_path: Path) -> None:
    write_events(tmp_path, [*losses(40), ("eval/loss", 20, 2.0), ("eval/loss", 40, 1.0)])
    content = loss_plot(tmp_path)
    assert content is not None
    image = Image.open(io.BytesIO(content)).convert("RGB")
    red, _, blue = numpy.moveaxis(numpy.asarray(image)[40:352, 64:740].astype(int), 2, 0)
    smooth = (red < 80) & (blue > 180)  # the smoothed curve
    left, right = numpy.nonzero(smooth[:, :60])[0], numpy.nonzero(smooth[:, -60:])[0]
    assert left.size and right.size and left.max() < right.min(), "the loss falls from left to right"


@pytest.mark.parametrize("points", [[], [("train/loss", 1, 2.0)], [("train/grad_norm", 1, 2.0)]])
def test_without_a_curve_there_is_no_picture(tmp_path: Path, points: list[tuple[str, int, float]]) -> None:
    write_events(tmp_path, points)
    assert loss_plot(tmp_path) is None


def test_no_events_no_picture(tmp_path: Path) -> None:
    assert loss_plot(tmp_path) is None


def test_a_file_of_something_else_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_events(tmp_path, losses(10))
    with path.with_name("events.out.tfevents.9.bad").open("wb") as file:
        RecordWriter(file).write(b"not an event")
    assert len(read_curves((tmp_path / "tensorboard").iterdir())["training loss"]) == 10
    assert "events.out.tfevents.9.bad holds no events" in caplog.text


def test_a_file_that_was_cut_off_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_events(tmp_path, losses(10))
    path.write_bytes(path.read_bytes()[:-5])
    assert [step for step, _ in read_curves([path])["training loss"]] == list(range(1, 10))


def test_a_flat_curve_can_be_drawn() -> None:
    assert draw({"training loss": [(1, 0.0), (2, 0.0)]}).startswith(b"\x89PNG")


def test_what_no_run_has_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters of strangers bring events of their own."""
    odd = [("train/loss", -5, 1.0), ("train/loss", 2**62, 1.0), ("train/loss", 2**62 + 1, 1.0), ("eval/loss", 1, 3e38)]
    path = write_events(tmp_path, [*losses(2), *odd])
    curves = read_curves([path])
    assert set(curves) == {"training loss"}
    steps, values = zip(*curves["training loss"], strict=True)
    assert steps == (1, 2)
    assert values == pytest.approx((3.35, 3.21), abs=0.01)
    assert loss_plot(tmp_path) is not None
    monkeypatch.setattr(plot, "_MOST_BYTES", 10)
    assert loss_plot(tmp_path) is None

"""The loss curves of a run as a picture for its model card, drawn from the TensorBoard events kept with the adapter."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterable
from pathlib import Path

from adapters.cards.curves import smooth, ticks

logger = logging.getLogger(__name__)

Curve = list[tuple[int, float]]  # (step, loss)

SMOOTHING = 0.8

_MOST_BYTES = 100 << 20  # of events; a longer run, or a stranger's file, is not read for a picture
_MOST_STEP, _MOST_LOSS = 2**40, 1e30  # what is beyond cannot be told apart on an axis
_SIZE = (760, 400)
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 40, 48  # margins around the axes, in pixels
_SCALE = 2  # drawn larger and then reduced, which smooths the lines
_INK, _GRID = "#374151", "#e5e7eb"
_COLOURS = {"training loss": "#9db8e8", "training loss, smoothed": "#1d4ed8", "evaluation loss": "#d97706"}


def read_curves(events: Iterable[Path]) -> dict[str, Curve]:
    """Training and evaluation loss by step, from TensorBoard event files as transformers writes them.

    A file that holds something else is left out, with a warning in the log; one that was cut off counts as far as it
    goes, which is how TensorBoard reads it.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    names = {"train/loss": "training loss", "eval/loss": "evaluation loss"}
    curves: dict[str, dict[int, float]] = {name: {} for name in names.values()}
    for path in sorted(events):
        try:
            records = [Event.FromString(record) for record in RawEventFileLoader(str(path)).Load()]
        except DecodeError as error:
            logger.warning("%s holds no events and is not drawn: %s", path, error)
            continue
        for event in records:
            for value in event.summary.value:
                if value.tag in names and value.HasField("simple_value") and _drawable(event.step, value.simple_value):
                    curves[names[value.tag]][event.step] = value.simple_value
    return {name: sorted(points.items()) for name, points in curves.items() if points}


def _drawable(step: int, loss: float) -> bool:
    return 0 <= step <= _MOST_STEP and math.isfinite(loss) and abs(loss) <= _MOST_LOSS


def draw(curves: dict[str, Curve]) -> bytes:
    """A PNG of the curves; at least one must have two points."""
    from PIL import Image, ImageDraw, ImageFont

    curves = dict(curves)
    if len(curves.get("training loss", [])) >= 20:
        curves["training loss, smoothed"] = smooth(curves["training loss"], SMOOTHING)
    points = [point for curve in curves.values() for point in curve]
    last = max(x for x, _ in points)
    x_ticks = ticks(min(x for x, _ in points), last)
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))
    width, height = (side * _SCALE for side in _SIZE)
    left, right = _LEFT * _SCALE, width - _RIGHT * _SCALE
    top, bottom = _TOP * _SCALE, height - _BOTTOM * _SCALE

    def x_at(step: float) -> float:
        return left + (step - x_ticks[0]) / (last - x_ticks[0]) * (right - left)

    def y_at(loss: float) -> float:
        return bottom - (loss - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (bottom - top)

    image = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13 * _SCALE)
    for loss in y_ticks:
        pen.line([(left, y_at(loss)), (right, y_at(loss))], fill=_GRID, width=_SCALE)
        pen.text((left - 8 * _SCALE, y_at(loss)), f"{loss:g}", _INK, font, anchor="rm")
    for step in (tick for tick in x_ticks if tick <= last):
        pen.text((x_at(step), bottom + 8 * _SCALE), f"{step:g}", _INK, font, anchor="mt")
    pen.text(((left + right) / 2, height - 6 * _SCALE), "step", _INK, font, anchor="mb")
    x_legend = float(left)
    for name, curve in curves.items():
        places = [(x_at(step), y_at(loss)) for step, loss in curve]
        pen.line(places, fill=_COLOURS[name], width=2 * _SCALE, joint="curve")
        if name == "evaluation loss":
            for x, y in places:
                pen.circle((x, y), 3 * _SCALE, fill=_COLOURS[name])
        middle = _TOP * _SCALE / 2
        pen.line([(x_legend, middle), (x_legend + 20 * _SCALE, middle)], fill=_COLOURS[name], width=3 * _SCALE)
        pen.text((x_legend + 26 * _SCALE, middle), name, _INK, font, anchor="lm")
        x_legend += 26 * _SCALE + pen.textlength(name, font) + 24 * _SCALE
    content = io.BytesIO()
    image.resize(_SIZE, Image.Resampling.LANCZOS).save(content, "PNG", optimize=True)
    return content.getvalue()


def loss_plot(folder: Path) -> bytes | None:
    """The picture for the adapter in `folder`; None when its events hold no curve."""
    events = [path for path in (folder / "tensorboard").glob("events.out.tfevents.*") if path.is_file()]
    if sum(file.stat().st_size for file in events) > _MOST_BYTES:
        logger.warning("the events of %s are too many to draw", folder.name)
        return None
    curves = read_curves(events) if events else {}
    return draw(curves) if any(len(curve) > 1 for curve in curves.values()) else None

"""The content of a turn: text, or a list of parts, of which only text can be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.data.dataset import RowError
from core.data.formats.tracking import ConversionNotes, TrackedMapping, has_text, has_value
from core.data.formats.training_marks import ALL_MARKS, parse_mark
from core.data.values import kind_of, text_of

TEXT_TYPES = ("text", "input_text", "output_text")
TEXT_KEYS = ("text", "value", "content")
THOUGHT_TYPES = ("thinking", "reasoning")
MEDIA = ("image", "images", "video", "videos", "audio", "audios")  # beside a turn's text, or as columns
MEDIA_PARTS = (*MEDIA, "image_url", "input_image", "input_audio", "file", "input_file")


@dataclass
class Content:
    """`reasoning` is what stands in parts of that type; `untrained` are spans of `text` that its parts mark so."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    untrained: list[list[int]] = field(default_factory=list)
    length: int = 0

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        return "".join(self.thoughts)

    def add(self, text: str, trained: bool = True) -> None:
        if not trained and text:
            self.untrained.append([self.length, self.length + len(text)])
        self.texts.append(text)
        self.length += len(text)


def read_content(value: Any, where: str, notes: ConversionNotes) -> Content:
    """Raises RowError for what is not text."""
    if not isinstance(value, list | Mapping):
        return Content([text_of(value, f"The text of {where}")])
    content = Content()
    for part in value if isinstance(value, list) else [value]:
        if part is None or isinstance(part, str):
            content.add(part or "")
            continue
        read_part(part, where, notes, content)
    return content


def read_part(part: Any, where: str, notes: ConversionNotes, content: Content) -> None:
    if not isinstance(part, Mapping):
        raise part_error(kind_of(part), where)
    seen = TrackedMapping(part)
    kind = seen.get("type") or next((key for key in MEDIA_PARTS if has_value(seen.peek(key))), "text")
    if kind in THOUGHT_TYPES:
        _, text = seen.first((str(kind), *TEXT_KEYS))
        content.thoughts.append(text_of(text, f"A part of type {kind!r} in {where}"))
        return
    if kind not in TEXT_TYPES:
        raise part_error(repr(kind), where)
    key, text = seen.first(TEXT_KEYS)
    if isinstance(text, Mapping):  # OpenAI's assistants: {"value": …, "annotations": …}
        text = text.get("value")
    marks = {name: seen[name] for name in seen if name in ALL_MARKS and has_value(seen.peek(name))}
    unread = seen.unread()
    if not has_value(text) and (holders := [name for name in unread if has_text(seen.peek(name))]):
        raise RowError(
            f"A part of {where} has its text under {' and '.join(f'`{name}`' for name in holders)}, which is not read.",
            "Call the key `text`.",
        )
    if not key:
        raise RowError(f"The text of {where} is an object without text.", "Write it as a string.")
    notes.keys.update(unread)
    trained = all(parse_mark(name, value, f"A part of {where}") for name, value in marks.items())
    content.add(text_of(text, f"A text part of {where}"), trained)


def part_error(kind: str, where: str) -> RowError:
    return RowError(f"{where} has a part of type {kind}.", "Only text parts can be trained; remove the others.")


def refuse_media(seen: TrackedMapping, where: str) -> None:
    """Raises RowError where a turn or a row has pictures, sound or films beside its text."""
    for key, value in seen.values_by_key.items():
        if key in MEDIA and has_value(value) and not isinstance(value, bool | int | float):
            raise RowError(
                f"{where} has `{key}`: pictures, sound and films are not trained here, and its text may be about them.",
                "Remove the key and what the text says of it, or name the columns to read.",
            )

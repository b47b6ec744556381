"""What an event of the page may hold, checked by the access middleware before Gradio sees it.

Gradio does more with some values than show them: it fetches files that a dictionary names, and builds a component that
a part of a chat message names, with the arguments given there. So for everybody but the owner there is a list of what
each kind of input may hold, and what is not on it is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from studio.web.request_bodies import Refusal

if TYPE_CHECKING:
    from gradio.data_classes import PredictBody

PAGE_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)  # the random name that a page gives itself
MESSAGE_ROLES = ("user", "assistant")
FILE_MARK = b'"_type":"gradio.FileData"'  # as it is written here: Gradio reads or downloads the path beside it
MAX_MARKS = 200_000  # of brackets and commas: beyond, reading the text would keep others waiting
MARKS_PER_EVENT, BYTES_PER_EVENT = 500, 64 << 10  # an event of as many counts as one more
MAX_VALUES = 50_000  # in what a browser keeps; a megabyte of conversations has half as many at most
MAX_DEPTH = 12  # of lists and dictionaries in each other
MAX_MESSAGES = 1_000  # in all columns together, of
MAX_PARTS = 8  # parts each: Gradio looks at every one of them while others wait
MAX_CHOICES = 100


def parse_event(body: bytes, *, bounded: bool) -> PredictBody:
    """The event that a body asks for. Raises Refusal for none, and, if `bounded`, for more than is read at once."""
    from gradio.data_classes import PredictBody
    from pydantic import ValidationError

    if bounded and count_marks(body) > MAX_MARKS:
        raise Refusal(413, "This is more than is taken at once: begin a new chat, or delete old conversations.")
    try:
        event = PredictBody.model_validate(orjson.loads(body))
    except (ValueError, ValidationError):
        raise Refusal(422, "This is not an event of the page.") from None
    if event.session_hash is not None and not PAGE_NAME.fullmatch(event.session_hash):
        raise Refusal(422, "This is not the name of a page.")
    return event


def count_marks(body: bytes) -> int:
    """Of brackets and commas, which is about how many values it holds; known before it is parsed."""
    return sum(map(body.count, (b"[", b"{", b",")))


def event_weight(body: bytes) -> int:
    """As how many events it counts: reading and going through a large one keeps the others waiting for longer."""
    return 1 + count_marks(body) // MARKS_PER_EVENT + len(body) // BYTES_PER_EVENT


def serialize_event(event: PredictBody) -> bytes:
    """The body that Gradio gets: what was read of it, and nothing that only it would understand."""
    known = ("data", "event_data", "fn_index", "trigger_id", "session_hash")
    return orjson.dumps({name: getattr(event, name) for name in known})


def check_inputs(event: PredictBody, body: bytes, inputs: Sequence[Any]) -> None:
    """Raises Refusal unless the event, written as `body`, holds for each of its inputs what such a one may hold."""
    import gradio as gr

    if FILE_MARK in body:
        raise Refusal(403, "Only the owner of this studio may give it files, or addresses to fetch them from.")
    if len(event.data) != len(inputs):
        raise Refusal(422, f"This event has {len(inputs)} inputs, not {len(event.data)}.")
    given = [(component, value) for component, value in zip(inputs, event.data, strict=True) if value is not None]
    chats = [value for component, value in given if isinstance(component, gr.Chatbot) and isinstance(value, list)]
    if sum(map(len, chats)) > MAX_MESSAGES:
        raise Refusal(413, f"These are more than {MAX_MESSAGES:,} messages: begin a new chat.")
    may_be = allowed_values()
    if not all(may_be.get(type(component), is_nothing)(value) for component, value in given) or not is_small_json(
        [event.event_data]
    ):
        raise Refusal(422, "This event holds something that its page would not send.")


def allowed_values() -> Mapping[type, Callable[[Any], bool]]:
    """What an input may hold beside nothing, by its kind. A kind that is not here holds nothing."""
    import gradio as gr

    return {
        gr.Textbox: is_text,
        gr.HTML: is_text,
        gr.Number: is_number,
        gr.Slider: is_number,
        gr.Checkbox: lambda value: isinstance(value, bool),
        gr.Radio: is_choice,
        gr.Dropdown: lambda value: is_choice(value) or is_choices(value),
        gr.Chatbot: is_chat,
        gr.BrowserState: lambda value: is_small_json([value]),
        gr.State: is_nothing,  # the server's own
    }


def is_nothing(value: Any) -> bool:
    return False


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_choice(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def is_choices(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_CHOICES and all(map(is_choice, value))


def is_chat(value: Any) -> bool:
    """Questions and answers in text, each answer perhaps with who gave it (studio/answers/history.py)."""
    return isinstance(value, list) and all(map(is_message, value))


def is_message(value: Any) -> bool:
    needed, known = {"role", "content"}, {"role", "content", "metadata", "options"}
    if not isinstance(value, dict) or not needed <= set(value) <= known:
        return False
    content, about = value["content"], value.get("metadata") or {}
    return (
        value["role"] in MESSAGE_ROLES
        and isinstance(content, list)
        and len(content) <= MAX_PARTS
        and all(
            isinstance(part, dict)
            and set(part) == {"type", "text"}
            and part["type"] == "text"
            and isinstance(part["text"], str)
            for part in content
        )
        and isinstance(about, dict)
        and set(about) <= {"log"}
        and isinstance(about.get("log", ""), str)
        and not value.get("options")
    )


def is_small_json(values: list[Any]) -> bool:
    """Whether these are few and flat enough to go through: JSON as a browser keeps it, or tells what was chosen."""
    count, level = 0, values
    for _ in range(MAX_DEPTH + 2):  # with the level around them, and the one that must be empty
        count += len(level)
        if not level:
            return True
        if count > MAX_VALUES:
            return False
        below = [
            container.values() if isinstance(container, dict) else container
            for container in level
            if isinstance(container, dict | list)
        ]
        level = [value for values_below in below for value in values_below]
    return False

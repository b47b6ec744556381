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

PAGE = re.compile(r"[\w-]{1,64}", re.ASCII)  # the random name that a page gives itself
ROLES = ("user", "assistant")
FILE = b'"_type":"gradio.FileData"'  # as it is written here: Gradio reads or downloads the path beside it
MARKS = 200_000  # of brackets and commas: beyond, reading the text would keep others waiting
MARKS_OF_ONE, BYTES_OF_ONE = 500, 64 << 10  # an event of as many counts as one more
VALUES = 50_000  # in what a browser keeps; a megabyte of conversations has half as many at most
DEPTH = 12  # of lists and dictionaries in each other
MESSAGES = 1_000  # in all columns together, of
PARTS = 8  # parts each: Gradio looks at every one of them while others wait
CHOICES = 100


def read(body: bytes, *, bounded: bool) -> PredictBody:
    """The event that a body asks for. Raises Refusal for none, and, if `bounded`, for more than is read at once."""
    from gradio.data_classes import PredictBody
    from pydantic import ValidationError

    if bounded and marks(body) > MARKS:
        raise Refusal(413, "This is more than is taken at once: begin a new chat, or delete old conversations.")
    try:
        event = PredictBody.model_validate(orjson.loads(body))
    except (ValueError, ValidationError):
        raise Refusal(422, "This is not an event of the page.") from None
    if event.session_hash is not None and not PAGE.fullmatch(event.session_hash):
        raise Refusal(422, "This is not the name of a page.")
    return event


def marks(body: bytes) -> int:
    """Of brackets and commas, which is about how many values it holds; known before it is parsed."""
    return sum(map(body.count, (b"[", b"{", b",")))


def weight(body: bytes) -> int:
    """As how many events it counts: reading and going through a large one keeps the others waiting for longer."""
    return 1 + marks(body) // MARKS_OF_ONE + len(body) // BYTES_OF_ONE


def written(event: PredictBody) -> bytes:
    """The body that Gradio gets: what was read of it, and nothing that only it would understand."""
    known = ("data", "event_data", "fn_index", "trigger_id", "session_hash")
    return orjson.dumps({name: getattr(event, name) for name in known})


def check(event: PredictBody, body: bytes, inputs: Sequence[Any]) -> None:
    """Raises Refusal unless the event, written as `body`, holds for each of its inputs what such a one may hold."""
    import gradio as gr

    if FILE in body:
        raise Refusal(403, "Only the owner of this studio may give it files, or addresses to fetch them from.")
    if len(event.data) != len(inputs):
        raise Refusal(422, f"This event has {len(inputs)} inputs, not {len(event.data)}.")
    given = [(each, value) for each, value in zip(inputs, event.data, strict=True) if value is not None]
    chats = [value for each, value in given if isinstance(each, gr.Chatbot) and isinstance(value, list)]
    if sum(map(len, chats)) > MESSAGES:
        raise Refusal(413, f"These are more than {MESSAGES:,} messages: begin a new chat.")
    may_be = shapes()
    if not all(may_be.get(type(each), nothing)(value) for each, value in given) or not plain([event.event_data]):
        raise Refusal(422, "This event holds something that its page would not send.")


def shapes() -> Mapping[type, Callable[[Any], bool]]:
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
        gr.BrowserState: lambda value: plain([value]),
        gr.State: nothing,  # the server's own
    }


def nothing(value: Any) -> bool:
    return False


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_choice(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def is_choices(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= CHOICES and all(map(is_choice, value))


def is_chat(value: Any) -> bool:
    """Questions and answers in text, each answer perhaps with who gave it (studio/answers/history.py)."""
    return isinstance(value, list) and all(map(is_message, value))


def is_message(value: Any) -> bool:
    needed, known = {"role", "content"}, {"role", "content", "metadata", "options"}
    if not isinstance(value, dict) or not needed <= set(value) <= known:
        return False
    said, about = value["content"], value.get("metadata") or {}
    return (
        value["role"] in ROLES
        and isinstance(said, list)
        and len(said) <= PARTS
        and all(
            isinstance(part, dict)
            and set(part) == {"type", "text"}
            and part["type"] == "text"
            and isinstance(part["text"], str)
            for part in said
        )
        and isinstance(about, dict)
        and set(about) <= {"log"}
        and isinstance(about.get("log", ""), str)
        and not value.get("options")
    )


def plain(values: list[Any]) -> bool:
    """Whether these are few and flat enough to go through: JSON as a browser keeps it, or tells what was chosen."""
    count, level = 0, values
    for _ in range(DEPTH + 2):  # with the level around them, and the one that must be empty
        count += len(level)
        if not level:
            return True
        if count > VALUES:
            return False
        below = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for each in below for value in each]
    return False

"""What fails says why where it was asked for, and stays there until the next attempt: no toast that fades."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.common.redaction import masked
from studio.ui.events import readable, shown, told

CODE = re.compile(r"`([^`\n]+)`")


def place(elem_id: str) -> gr.HTML:
    """Stands beneath the button of what may fail."""
    return gr.HTML("", elem_id=elem_id, padding=False)


def in_place(handler: Callable[..., Any], failed: gr.HTML, done: Any = None) -> Callable[..., Any]:
    """Wrap an event handler: its outputs are to be followed by `failed`, which says what it raises, or is emptied.

    done: where an earlier success stands, which a failure takes away. `raising`, for tests, is the handler as `told`
    would have it.
    """

    @functools.wraps(handler)
    def placed(*args: Any) -> Any:
        try:
            result = handler(*args)
        except Exception as error:
            return {failed: reason(error, args)} | ({done: ""} if done is not None else {})
        values = result if isinstance(result, list) else [] if result is None else [result]
        return [*values, ""] if values else ""

    placed.raising = told(handler)  # type: ignore[attr-defined]
    return placed


def reason(error: Exception, args: Sequence[Any] = ()) -> str:
    """The message and the remedy; of a bug, which goes into the log, that it is one."""
    if isinstance(error, UserError):
        message, remedy = readable(error.message, args), readable(error.remedy, args)
    else:
        message, remedy = str(shown(error).message), ""
    rest = f'<p class="note">{marked(remedy)}</p>' if remedy else ""
    return f'<div role="alert"><p class="error"><b>That did not work.</b> {marked(message)}</p>{rest}</div>'


def marked(text: str) -> str:
    """As HTML: without secrets and markup of its own, what stands between backticks as code."""
    return CODE.sub(r"<code>\1</code>", escape(masked(text)))

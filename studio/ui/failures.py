"""What fails says why where it was asked for, and stays there until the next attempt: no toast that fades."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from adapters.common.errors import UserError
from core.common.redaction import masked
from studio.html.templating import render
from studio.ui.events import bind, text_for_viewer, to_gradio_error

CODE = re.compile(r"`([^`\n]+)`")


def failure_slot(elem_id: str) -> gr.HTML:
    """Stands beneath the button of what may fail."""
    return gr.HTML("", elem_id=elem_id, padding=False)


def bind_in_place(handler: Callable[..., Any], *context: Any, failed: gr.HTML, done: Any = None) -> Callable[..., Any]:
    """As studio.ui.events.bind. The outputs are to be followed by `failed`, which says what is raised, or is emptied.

    done: where an earlier success stands, which a failure takes away.
    """
    raising = bind(handler, *context)

    def placed(*args: Any) -> Any:
        try:
            result = handler(*context, *args)
        except Exception as error:
            return {failed: failure_html(error, args)} | ({done: ""} if done is not None else {})
        values = result if isinstance(result, list) else [] if result is None else [result]
        return [*values, ""] if values else ""

    functools.update_wrapper(placed, raising)
    placed.__signature__ = inspect.signature(raising)  # type: ignore[attr-defined]
    placed.raising = raising  # type: ignore[attr-defined]  # for tests
    return placed


def in_place(handler: Callable[..., Any], failed: gr.HTML, done: Any = None) -> Callable[..., Any]:
    return bind_in_place(handler, failed=failed, done=done)


def failure_html(error: Exception, args: Sequence[Any] = ()) -> Markup:
    """The message and the remedy; of a bug, which goes into the log, that it is one."""
    if isinstance(error, UserError):
        message, remedy = text_for_viewer(error.message, args), text_for_viewer(error.remedy, args)
    else:
        message, remedy = str(to_gradio_error(error).message), ""
    return render("shared/failure.html", message=text_and_code(message), remedy=text_and_code(remedy) if remedy else [])


def text_and_code(text: str) -> list[str]:
    """Text and code in turn, beginning with text: code is what stands between backticks. Secrets are masked."""
    return CODE.split(masked(text))

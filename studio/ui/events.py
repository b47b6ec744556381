"""Errors on the page: a person sees the message and the remedy, the log gets the traceback of what was a bug."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, TypeVar

import gradio as gr

from adapters.common.errors import UserError, without_paths
from adapters.common.files import no_room
from core.common.redaction import masked
from studio.auth.identity import Role, person_of

log = logging.getLogger(__name__)
FULL = "The disk is full, so nothing could be written. Free some space: Settings says what takes it."
Handler = TypeVar("Handler", bound=Callable[..., Any])


def told(handler: Handler) -> Handler:
    """Wrap an event handler so that whatever it raises is shown in plain words."""

    if inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def streaming(*args: Any) -> Any:
            try:
                async for update in handler(*args):
                    yield update
            except Exception as error:
                raise shown(error, args) from error

        return streaming  # type: ignore[return-value]

    @functools.wraps(handler)
    def plain(*args: Any) -> Any:
        try:
            return handler(*args)
        except Exception as error:
            raise shown(error, args) from error

    return plain  # type: ignore[return-value]


def shown(error: Exception, args: Sequence[Any] = ()) -> gr.Error:
    """An error as it is shown to who triggered the event with these arguments."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, UserError):
        return gr.Error(
            escape(masked(readable(str(error), args)), quote=False),
            duration=15,
            title="That did not work",
            print_exception=False,
        )
    if no_room(error):
        log.warning("an event handler found the disk full: %s", error)
        return gr.Error(FULL, duration=15, title="That did not work", print_exception=False)
    log.error("an event handler failed", exc_info=error)
    return gr.Error(
        "Something unexpected went wrong; the studio's log has the details. Nothing was changed.",
        duration=15,
        title="That did not work",
        print_exception=False,
    )


def readable(text: str, args: Sequence[Any]) -> str:
    """As who asked may read it: a gr.Request among the handler's arguments tells who that is."""
    stranger = any(isinstance(each, gr.Request) and person_of(each).role < Role.OWNER for each in args)
    return without_paths(text) if stranger else text

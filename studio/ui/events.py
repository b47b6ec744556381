"""Errors on the page: a person sees the message and the remedy, the log gets the traceback of what was a bug."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from adapters.common.errors import UserError, without_paths
from adapters.common.files import no_room
from core.common.redaction import masked
from studio.auth.identity import Role, user_of

log = logging.getLogger(__name__)
FULL = "The disk is full, so nothing could be written. Free some space: Settings says what takes it."


def bind(handler: Callable[..., Any], *context: Any) -> Callable[..., Any]:
    """What Gradio is to call for an event: `handler`, its first arguments being `context` (the studio, a page's parts).

    Whatever the handler raises is shown in plain words. Gradio sees the other arguments with their types, so that
    gr.Request and event data arrive as they do for a plain function.
    """
    if inspect.isasyncgenfunction(handler):

        async def streaming(*args: Any) -> Any:
            try:
                async for update in handler(*context, *args):
                    yield update
            except Exception as error:
                raise to_gradio_error(error, args) from error

        return _without_context(streaming, handler, len(context))

    if inspect.iscoroutinefunction(handler):

        async def awaited(*args: Any) -> Any:
            try:
                return await handler(*context, *args)
            except Exception as error:
                raise to_gradio_error(error, args) from error

        return _without_context(awaited, handler, len(context))

    def plain(*args: Any) -> Any:
        try:
            return handler(*context, *args)
        except Exception as error:
            raise to_gradio_error(error, args) from error

    return _without_context(plain, handler, len(context))


def bind_silently(handler: Callable[..., Any], *context: Any) -> Callable[..., Any]:
    """As `bind`, for events that no person triggers, such as the page's load: what fails shows only in the log."""
    return _without_context(lambda *args: handler(*context, *args), handler, len(context))


def _without_context(wrapper: Callable[..., Any], handler: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`wrapper` under the handler's name, with its signature and type hints but for the first `count` parameters."""
    parameters = list(inspect.signature(handler).parameters.values())
    functools.update_wrapper(wrapper, handler)
    # Gradio asks for type hints; one that cannot be resolved, such as the context's, would cost it all of them.
    known = {parameter.name for parameter in parameters[:count]}
    wrapper.__annotations__ = {name: hint for name, hint in handler.__annotations__.items() if name not in known}
    wrapper.__signature__ = inspect.Signature(parameters[count:])  # type: ignore[attr-defined]
    return wrapper


def to_gradio_error(error: Exception, args: Sequence[Any] = ()) -> gr.Error:
    """An error as it is shown to who triggered the event with these arguments."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, UserError):
        return gr.Error(
            escape(masked(text_for_viewer(str(error), args)), quote=False),
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


def text_for_viewer(text: str, args: Sequence[Any]) -> str:
    """As who asked may read it: a gr.Request among the handler's arguments tells who that is."""
    is_for_owner = all(user_of(arg).role is Role.OWNER for arg in args if isinstance(arg, gr.Request))
    return text if is_for_owner else without_paths(text)

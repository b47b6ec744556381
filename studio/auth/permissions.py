"""The one table of who may do what. studio/auth/middleware.py enforces it in front of everything.

What is not in the table is refused, for the owner too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from studio.auth.identity import Role

SEES_RUNS = "sees runs"  # the owner decides who: User.sees_runs
Needed = Role | str
Handler = TypeVar("Handler", bound=Callable[..., Any])

# (methods, path, who). A path is a regular expression for the whole of it.
ROUTES: tuple[tuple[str, str, Needed], ...] = (
    ("GET HEAD", r"/healthz", Role.STRANGER),
    ("POST", r"/access", Role.STRANGER),
    ("GET", r"/login/(huggingface|callback)", Role.STRANGER),
    ("POST", r"/logout", Role.VISITOR),
    # The page and its own files.
    ("GET HEAD", r"/", Role.VISITOR),
    ("GET", r"/(config/?|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\w+)?)", Role.VISITOR),
    ("GET", r"/(assets|static|svelte)/.+", Role.VISITOR),
    # Gradio. What an event does is decided by EVENTS, below.
    ("POST", r"/gradio_api/(queue/join|run/predict)", Role.VISITOR),
    ("GET", r"/gradio_api/(queue/(data|status)|heartbeat/\w+|startup-events|app_id|theme\.css|info/?)", Role.VISITOR),
    ("POST", r"/gradio_api/(cancel|reset/?)", Role.VISITOR),
    ("GET HEAD", r"/gradio_api/file=.+", Role.VISITOR),
    ("POST", r"/gradio_api/upload", Role.OWNER),
    ("GET", r"/gradio_api/upload_progress", Role.OWNER),
    ("GET", r"/adapters/[^/]+\.zip", Role.USER),
    ("GET", r"/adapters/[^/]+/merged\.zip", Role.OWNER),
    # For programs.
    ("GET", r"/v1/models(/.+)?", Role.VISITOR),
    ("POST", r"/v1/(chat/)?completions", Role.VISITOR),
    ("POST", r"/v1/(un)?load_lora_adapter", Role.OWNER),
    ("GET", r"/metrics", Role.USER),
    ("GET HEAD POST", r"/tensorboard(/.*)?", SEES_RUNS),
    ("GET", r"/font-roboto/[\w.-]+", SEES_RUNS),
)

# Gradio's events, as room.module.function of their handlers. Anonymous handlers have no name, and so are refused.
EVENTS: dict[str, Role] = {
    "": Role.VISITOR,  # without a handler: it runs in the browser, or cancels events of the same session
}
# The function that `requires` has marked, by its event's name: another one that merely has the name is none.
HANDLERS: dict[str, Callable[..., Any]] = {}
# What counts against the limits: what has models answer, fills the disk, or asks the Hub; with:
COUNTED: set[str] = set()
MESSAGE_PATHS = re.compile(r"/v1/(chat/)?completions")
QUEUE_PATH = "/gradio_api/queue/join"
EVENT_PATHS = (QUEUE_PATH, "/gradio_api/run/predict")
EMBEDDED = ("image", "audio", "video", "track", "embed", "object")  # as browsers say in Sec-Fetch-Dest; and where:
EMBEDDED_PATHS = re.compile(r"/(assets|static|svelte|tensorboard)/.+|/favicon\.ico|/pwa_icon.*|/gradio_api/file=.+")
KEY_PATHS = re.compile(r"/v1/.*|/metrics")  # where an API key counts


def needed_for(method: str, path: str) -> Needed | None:
    """Who may send such a request, or None when nobody may."""
    for methods, pattern, needed in ROUTES:
        if method in methods.split() and re.fullmatch(pattern, path):
            return needed
    return None


def requires(role: Role, *, counted: bool = False) -> Callable[[Handler], Handler]:
    """Of an event handler: who may trigger it. A handler without this decorator is refused to everybody.

    counted: it counts against the limits of messages (it has models answer, fills the disk, or asks the Hub).
    Raises ValueError where another handler has that name already.
    """

    def registered(handler: Handler) -> Handler:
        name = event_name(handler)
        if name in EVENTS:
            raise ValueError(f"Two event handlers are called {name}.")
        EVENTS[name] = role
        HANDLERS[name] = handler
        if counted:
            COUNTED.add(name)
        return handler

    return registered


def role_for(handler: Callable[..., Any] | None) -> Role | None:
    """Who may trigger the event of this handler, or None when nobody may.

    handler: as Gradio has it, so perhaps wrapped (studio/ui/events.py). None: the event runs in the browser alone.
    """
    name = event_name(handler)
    is_marked = handler is None or inspect.unwrap(handler) is HANDLERS.get(name)
    return EVENTS.get(name) if is_marked else None


def event_name(handler: Any) -> str:
    """room.module.function of an event's handler: chat.handlers.send_message; "" when it only runs in the browser."""
    return f"{handler.__module__.removeprefix('studio.')}.{handler.__name__}" if handler is not None else ""

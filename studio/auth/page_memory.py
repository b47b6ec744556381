"""What the server keeps for each page that is open somewhere, or was said to be: bounded for a page, a person, and all.

Gradio keeps whatever a page last sent and was shown, to make links of it, which are not made here; the values of its
states; and of each event in its queue the inputs until it has run, and what came out until the page has fetched it.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gradio.components import State
from gradio.state_holder import SessionState, StateHolder

from studio.auth.identity import Role, User
from studio.web.request_bodies import Refusal

if TYPE_CHECKING:
    import gradio as gr

MAX_PAGE_BYTES = 16 << 20  # bytes
MAX_USER_BYTES = 64 << 20
MAX_TOTAL_BYTES = 256 << 20
MIN_PAGE_BYTES = 256 << 10  # of each page: its copies of what was changed of the components
EVENT_BYTES = 64 << 10  # what the studio answers by itself, beside
INPUT_FACTOR = 4  # its inputs: what comes out may hold them again, as Python's strings


class PageState(SessionState):
    """The states of one page, and nothing of what its components last showed.

    Gradio's own copies all components for each page, which takes a tenth of a second, and puts in what is sent.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, State):
            self._state_ttl[key] = (block.time_to_live, datetime.now())
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value


class PageStates(StateHolder):
    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = PageState(self.blocks)
        return super().__getitem__(session_id)


@dataclass
class PageUsage:
    """What is kept of one page, in bytes. unread: by event, until the page has fetched what came out of it."""

    user: str = ""
    state: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    unnamed: list[int] = field(default_factory=list)  # events that have no id yet

    @property
    def bytes(self) -> int:
        return MIN_PAGE_BYTES + self.state + sum(self.unread.values()) + sum(self.unnamed)


class PageMemory:
    """Counts what is kept, and lets go the pages that were silent longest. The owner's are not counted, and stay."""

    def __init__(self, page: gr.Blocks) -> None:
        self.page = page
        self._of: OrderedDict[str, PageUsage] = OrderedDict()

    async def admit(self, name: str, user: User, size: int, *, queued: bool) -> None:
        """Make room for an event of `size` bytes of the page `name`. Raises Refusal when that page keeps too much."""
        if user.role is Role.OWNER:
            return
        usage = self._of.setdefault(name, PageUsage())
        self._of.move_to_end(name)
        usage.user = user.key
        self._measure(name, usage)
        if queued:
            usage.unnamed.append(INPUT_FACTOR * size + EVENT_BYTES)
        if usage.bytes > MAX_PAGE_BYTES:
            if queued:
                usage.unnamed.pop()
            raise Refusal(429, "This page has not fetched what it asked for before: reload it.")
        for most, user_key in ((MAX_USER_BYTES, user.key), (MAX_TOTAL_BYTES, None)):
            for oldest in self._pages_beyond(most, user_key):
                await self._drop(oldest)

    def _measure(self, name: str, usage: PageUsage) -> None:
        """Count anew what is there."""
        queue = self.page._queue
        fetched = queue.pending_messages_per_session.get(name)
        waiting = fetched is not None and not fetched.empty()
        for event in queue.pending_event_ids_session.get(name, ()):
            if event not in usage.unread:
                usage.unread[event] = usage.unnamed.pop(0) if usage.unnamed else EVENT_BYTES
        events = queue.event_ids_to_events if not waiting else queue.pending_event_ids_session.get(name, ())
        usage.unread = {event: size for event, size in usage.unread.items() if event in events}
        usage.unnamed.clear()
        states = getattr(self.page, "state_holder", None)
        usage.state = size_of(list(states.session_data[name].state_data.values())) if states and name in states else 0

    def _pages_beyond(self, most: int, user: str | None) -> list[str]:
        """The oldest pages, of this person or of all, without which the others keep no more than `most` bytes."""
        pages = [(name, usage.bytes) for name, usage in self._of.items() if user in (None, usage.user)]
        total, dropped = sum(size for _, size in pages), []
        for name, size in pages:
            if total <= most:
                break
            dropped.append(name)
            total -= size
        return dropped

    async def _drop(self, name: str) -> None:
        del self._of[name]
        queue = self.page._queue
        await queue.clean_events(session_hash=name)
        queue.pending_event_ids_session.pop(name, None)
        queue.pending_messages_per_session.pop(name, None)
        states = getattr(self.page, "state_holder", None)
        if states:
            states.session_data.pop(name, None)
            states.time_last_used.pop(name, None)


def size_of(value: Any) -> int:
    """About how many bytes a value takes, with all that it holds."""
    total, left, known = 0, [value], set[int]()
    while left:
        part = left.pop()
        if id(part) in known:
            continue
        known.add(id(part))
        total += sys.getsizeof(part, 64)
        if isinstance(part, dict):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            left += part
        elif hasattr(part, "__dict__"):
            left += vars(part).values()
    return total

"""The queue of waiting sequences: bounded, and fair between clients."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from typing import Generic, Protocol, TypeVar


class Queueable(Protocol):
    """What the queue needs of an entry."""

    client: str
    prompt_ids: list[int]


class QueueFull(Exception):
    """`waiting` entries are in the queue. `own`: the client has used up its own share; others may still queue."""

    def __init__(self, waiting: int, own: bool) -> None:
        super().__init__(waiting, own)
        self.waiting, self.own = waiting, own


Entry = TypeVar("Entry", bound=Queueable)


class FairQueue(Generic[Entry]):
    """Entries by client, each client's in order of arrival. Any thread may call any method.

    Next is always the first entry of the client with the fewest running sequences; among equals, of the one served
    longest ago. So a client with 50 requests gets the whole batch while it is alone, and one of n equal shares while n
    clients have requests.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.client_limit = max(1, limit // 2)  # one client alone cannot fill the queue for the others
        self._clients: OrderedDict[str, deque[Entry]] = OrderedDict()  # the client served longest ago first
        self._lock = threading.Lock()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, entries: list[Entry]) -> None:
        """Append entries of one client, all or none. Raises QueueFull."""
        client = entries[0].client
        with self._lock:
            own = len(self._clients.get(client, ())) + len(entries) > self.client_limit
            if own or self._size + len(entries) > self.limit:
                raise QueueFull(self._size, own)
            self._clients.setdefault(client, deque()).extend(entries)
            self._size += len(entries)

    def head(self, running: Counter[str]) -> Entry | None:
        """The entry that is next, given how many sequences of each client run. It stays in the queue."""
        with self._lock:
            order = self._order(running)
            return self._clients[order[0]][0] if order else None

    def same_length(self, head: Entry, running: Counter[str]) -> list[Entry]:
        """`head` and all waiting entries whose prompt is as long, in fair order: they can share one prefill."""
        with self._lock:
            queues = [list(self._clients[client]) for client in self._order(running)]
        length = len(head.prompt_ids)
        matching = [[entry for entry in queue if len(entry.prompt_ids) == length] for queue in queues]
        rounds = max(map(len, matching), default=0)
        fair = [queue[i] for i in range(rounds) for queue in matching if i < len(queue)]
        return [head, *(entry for entry in fair if entry is not head)]

    def remove(self, entries: list[Entry], served: bool = True) -> None:
        """Take out the entries that are still queued. `served`: they now run, so their clients move to the end."""
        with self._lock:
            for entry in entries:
                queue = self._clients.get(entry.client)
                if queue is None or not any(queued is entry for queued in queue):
                    continue
                self._clients[entry.client] = deque(queued for queued in queue if queued is not entry)
                self._size -= 1
                if served:
                    self._clients.move_to_end(entry.client)
                if not self._clients[entry.client]:
                    del self._clients[entry.client]

    def drain(self) -> list[Entry]:
        """Take everything out."""
        with self._lock:
            entries = [entry for queue in self._clients.values() for entry in queue]
            self._clients.clear()
            self._size = 0
            return entries

    def _order(self, running: Counter[str]) -> list[str]:
        return sorted(self._clients, key=lambda client: running[client])  # stable: keeps "served longest ago" first

"""What a suspended engine had in memory, and how it is loaded again. core.coordination.suspend says who asks."""

from __future__ import annotations

import logging
from typing import Any

import httpx

from adapters.common.errors import UserError
from adapters.store import AdapterStore
from core.common.home import Home
from core.coordination import suspend

log = logging.getLogger(__name__)


def suspended_message(name: str = "a run") -> str:
    """name: the run's, for those who may see the runs."""
    return f"The chat is parked while {name} trains: both do not fit the memory. It comes back by itself."


def remember_adapters(home: Home, asked: suspend.SuspendRequest, adapters: tuple[dict[str, Any], ...]) -> None:
    """Note which adapters of the store the engine has. Checkpoints of runs come back when they are asked for."""
    stored = {record.name for record in AdapterStore(home.adapters).list()}
    names = tuple(str(adapter["name"]) for adapter in adapters if adapter.get("name") in stored)
    if names:
        suspend.save_adapters(home, asked, names)


def restore_adapters(home: Home, http: httpx.Client, url: str) -> None:
    """Load the adapters of the suspended engine into the new one. One that is gone or refused is only logged."""
    asked = suspend.read_request(home)
    if asked is None or asked.is_active:
        return
    store = AdapterStore(home.adapters)
    for name in asked.adapters:
        try:
            body = {"lora_name": name, "lora_path": str(store.path(name)), "load_inplace": True}
            http.post(f"{url}/v1/load_lora_adapter", json=body, timeout=60.0).raise_for_status()
        except (UserError, httpx.HTTPError) as error:
            log.warning("%s was in the parked chat's memory and is not loaded again: %s", name, error)
    suspend.clear_request(home)
    log.info("the chat is back, with %d of its adapters", len(asked.adapters))

"""Where run and chat run: whether both fit the device, and what if the engine ends in whose memory the base lies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.common.errors import UserError
from core.common.home import Home
from core.common.process import Identity, announced
from core.coordination import suspend
from core.models.shared_weights.ipc_handle import running_engine
from core.planner import Chat, gpus, plan_run
from core.recipes.recipe import Recipe
from core.serving.running_engine import ask_engine_memory
from core.serving.settings import settings_in_force
from core.training.run import Run

SUSPEND_SECONDS = 60.0  # for the chat to end: answers under way are given a few of them
ENDING_SECONDS = 3.0  # a process whose memory has gone may itself be there a moment longer
POLL_SECONDS = 0.1
logger = logging.getLogger(__name__)


class BaseLost(Exception):
    """The engine has ended in whose memory the base lay. What has been calculated since means nothing."""


@dataclass(frozen=True)
class ChatPlacement:
    """Plans whether run and chat both fit the device. longest: tokens of the longest conversation."""

    run: Run
    recipe: Recipe
    longest: int
    should_stop: Callable[[], bool]

    def can_chat_stay(self, shared: bool) -> bool:
        """Whether the chat goes on while the run trains. Where only the run alone fits, the chat is suspended first.

        shared: engine and trainer would have one copy of the base.
        """
        home = self.run.home
        if running_engine(home) is None:
            return True
        try:
            chat = Chat(settings_in_force(home), shared, ask_engine_memory(home))
            planned = plan_run(self.recipe, gpus.this_machine(), dataset_lengths=[self.longest], chat=chat)
        except UserError as error:
            logger.info("nothing is known of the memory that it takes, so the chat stays: %s", error)
            return True
        if planned.fits:
            if not shared:
                self.run.note(f"The chat stays, with a copy of the base of its own. {planned.reason}")
            return True
        if not planned.without_chat:
            self.run.note(f"{planned.reason} It is tried all the same.")
            return True
        if not has_studio(home):
            self.run.note(f"{planned.reason} The chat stays: no studio is there that could bring it back.")
            return True
        return not self._suspend_chat(planned.reason)

    def _suspend_chat(self, reason: str) -> bool:
        suspend.request_suspend(self.run.home, self.run.id, self.run.name)
        self.run.note(f"{reason} So the chat is parked while this run trains; it comes back by itself.")
        deadline = time.monotonic() + SUSPEND_SECONDS
        while running_engine(self.run.home) is not None:
            if time.monotonic() > deadline or self.should_stop():
                suspend.clear_request(self.run.home)
                self.run.note("The chat was not parked, and goes on.")
                return False
            self.run.beat()
            time.sleep(POLL_SECONDS)
        return True


def has_studio(home: Home) -> bool:
    """Whether a studio runs on this home: it ends the engine and starts it again."""
    web = announced(home.processes / "web.json")
    return web is not None and web.alive()


@contextmanager
def watch_owner(owner: Identity | None) -> Iterator[Callable[[], None]]:
    """Within the block, work on a base that lies in the memory of `owner` (None: in nobody else's).

    Gives the check to be made after each piece of work, before anything is concluded from it. It raises BaseLost when
    the owner has ended, and so does the block for whatever error the device then makes of it.
    """

    def check() -> None:
        if owner is not None and not owner.alive():
            raise BaseLost

    try:
        yield check
    except Exception as error:
        if owner is not None and _has_ended(owner):
            raise BaseLost from error
        raise


def _has_ended(owner: Identity) -> bool:
    deadline = time.monotonic() + ENDING_SECONDS
    while owner.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True

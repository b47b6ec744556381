"""How fast this machine trains the studio's base is measured in the background, once nothing else is to be done.

It begins when the engine is ready and nobody has chatted or trained for a while, and ends at once when somebody does;
then it is tried again later. What a measurement finds is kept (core.training.speeds), so that it is made once.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from subprocess import DEVNULL, PIPE, Popen

from adapters.common.errors import UserError
from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
from core.planner import Chat, plan_run
from core.recipes.recipe import Recipe
from core.serving.running_engine import ask_engine_memory
from core.training.calibration import SAMPLE
from core.training.launcher import PROJECT
from core.training.run import list_statuses
from core.training.speeds import known_speeds
from core.training.state import ACTIVE, RunState
from studio.engine.gpu import find_gpu
from studio.engine.supervisor import EngineSupervisor

QUIET_SECONDS = 45.0  # without a chat or a run, before it begins
POLL_SECONDS = 0.25
ATTEMPTS = 5  # that were ended by somebody's chat, or failed, before it is given up

log = logging.getLogger(__name__)


class BackgroundMeasurement:
    """One thread that waits for its moment. progress: what is being measured now, in words; "" while nothing is."""

    def __init__(self, home: Home, engine: EngineSupervisor, quiet_seconds: float = QUIET_SECONDS) -> None:
        self.progress = ""
        self._home, self._engine, self._quiet_seconds = home, engine, quiet_seconds
        self._activity = ChatActivity(home)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="measurement", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until it is done, or given up. Raises TimeoutError."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def has_room(self) -> bool:
        """Whether training the base fits this machine's memory beside the chat; on a GPU that is left to the chat."""
        recipe = Recipe.from_dict({"dataset_name": SAMPLE, "model_name_or_path": self._engine.base})
        try:
            gpu = find_gpu()
            if not gpu.on_cpu:
                return False
            return plan_run(recipe, gpu, chat=Chat(self._engine.settings, engine=ask_engine_memory(self._home))).fits
        except UserError as error:
            log.info("the speed is not measured: %s", error)
            return False

    def is_disturbed(self) -> bool:
        """Whether somebody chats or trains, or the engine is not there to be chatted with."""
        if self._activity.answers() or not self._engine.ready.is_set():
            return True
        return any(status.state in ACTIVE or status.state is RunState.QUEUED for _, status in list_statuses(self._home))

    def _watch(self) -> None:
        quiet_since = time.monotonic()
        attempts = 0
        while attempts < ATTEMPTS and not self._stopping.wait(POLL_SECONDS):
            try:
                if self.is_disturbed():
                    quiet_since = time.monotonic()
                elif time.monotonic() - quiet_since >= self._quiet_seconds:
                    if known_speeds(self._home, self._engine.base) or not self.has_room() or self._measure():
                        return
                    attempts, quiet_since = attempts + 1, time.monotonic()
            except OSError as error:
                log.warning("the speed could not be measured: %s", error)
                attempts += 1

    def _measure(self) -> bool:
        """Whether it went through to its end."""
        path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
        command = ["-P", "-m", "core.training.calibration", "--base", self._engine.base, "--home", str(self._home.root)]
        process = Popen(
            [sys.executable, *command],
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env=os.environ | {"PYTHONPATH": path, "TORCHDYNAMO_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false"},
            text=True,
        )
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if self._stopping.wait(POLL_SECONDS) or self.is_disturbed():
                    log.info("the measurement of the speed was ended: somebody needs the machine")
                    return False
            return process.returncode == 0
        finally:
            process.kill()
            process.wait()
            reader.join()
            self.progress = ""

    def _read(self, process: Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.progress = line.strip()

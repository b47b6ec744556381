"""What the engine of this home says of the memory that it has, and of what it may still take.

Importing this loads neither torch nor anything else of the engine.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

from pydantic import TypeAdapter

from core.common.home import Home
from core.common.json_records import Count
from core.common.process import announced_engine

ANSWER_SECONDS = 3.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineMemory:
    """`memory` of the engine's /health. Tokens are those of the cache of keys and values.

    weights: the form of the base's weights, as core.serving.engine.weights names it. second_layout: large ones lie in
    memory twice. compiled: a forward is one call (core.serving.engine.compiled_forward). kv_filled: tokens whose memory
    has been taken; the rest of kv_budget is taken as it is needed.
    """

    weights: str
    second_layout: bool
    compiled: bool
    kv_budget: Count
    kv_filled: Count
    kv_bytes_per_token: Count

    @property
    def still_to_come(self) -> int:
        """Bytes that the cache may still take."""
        return max(0, self.kv_budget - self.kv_filled) * self.kv_bytes_per_token


SHAPE = TypeAdapter(EngineMemory)


def ask_engine_memory(home: Home) -> EngineMemory | None:
    """None where no engine of this home is ready to tell."""
    engine = announced_engine(home)
    if engine is None or not engine.alive():
        return None
    try:
        with build_opener(ProxyHandler({})).open(f"{engine.url}/health", timeout=ANSWER_SECONDS) as answer:
            told = json.load(answer).get("memory")
            return SHAPE.validate_python(told) if told is not None else None
    except (OSError, ValueError, AttributeError) as error:
        log.info("the engine does not tell what memory it has: %s", error)
        return None

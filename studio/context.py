"""What every part of the page works on."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.store import AdapterStore
from core.common.home import Home
from studio.backup.backup import Keeper
from studio.engine.client import EngineClient
from studio.engine.supervisor import Engine
from studio.engine.tokenizer_process import Tokenizer


@dataclass(frozen=True)
class Studio:
    home: Home
    base: str  # as it was asked for: builtin, a Hub id or a folder
    engine: Engine
    client: EngineClient
    store: AdapterStore
    tokenizer: Tokenizer
    keeper: Keeper | None = None  # where the home is kept elsewhere too

    @classmethod
    def over(cls, home: Home, base: str, engine: Engine, keeper: Keeper | None = None) -> Studio:
        return cls(home, base, engine, EngineClient(engine), AdapterStore(home.adapters), Tokenizer(home, base), keeper)

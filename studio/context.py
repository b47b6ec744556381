"""What every part of the page works on."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.store import AdapterStore
from core.common.home import Home
from studio.backup.backup import Backup
from studio.engine.background_measurement import BackgroundMeasurement
from studio.engine.client import EngineClient
from studio.engine.supervisor import EngineSupervisor
from studio.engine.tokenizer_process import TokenizerProcess


@dataclass(frozen=True)
class Studio:
    home: Home
    base: str  # as it was asked for: builtin, a Hub id or a folder
    engine: EngineSupervisor
    client: EngineClient
    store: AdapterStore
    tokenizer: TokenizerProcess
    backup: Backup | None = None  # where the home is kept elsewhere too
    measurement: BackgroundMeasurement | None = None  # of how fast the base trains here

    @classmethod
    def over(
        cls,
        home: Home,
        base: str,
        engine: EngineSupervisor,
        backup: Backup | None = None,
        measurement: BackgroundMeasurement | None = None,
    ) -> Studio:
        client, store, tokenizer = EngineClient(engine), AdapterStore(home.adapters), TokenizerProcess(home, base)
        return cls(home, base, engine, client, store, tokenizer, backup, measurement)

"""The base here, by which adapters are judged, and the owner's statement that an adapter was made on a copy of it."""

from __future__ import annotations

from dataclasses import replace

from adapters.bases import Origin, find_base_mismatch, to_shareable_id, with_same_base
from adapters.common.errors import UserError
from adapters.compat import BaseFacts
from adapters.record import AdapterRecord
from core.models.base_facts import facts_of, with_shapes
from studio.context import Studio


def serving_base(studio: Studio) -> BaseFacts | None:
    """The base that answers here; None while a server elsewhere has not yet said which it has."""
    engine = studio.engine
    if engine.external_url is None:
        return facts_of(studio.base)
    if engine.vllm is not None:
        return engine.vllm.base
    return facts_of(engine.status.base) if engine.status.base else None


def declare_same_base(studio: Studio, name: str) -> AdapterRecord:
    """Record that the adapter was made on a copy of the base here, as the owner says, and have the engine check it.

    Raises UserError, and leaves the record as it was, when the engine is not there or cannot serve it: shapes count,
    whatever the owner says.
    """
    before, base = studio.store.get(name), serving_base(studio)
    if base is None or not studio.engine.ready.is_set():
        raise UserError("The engine is not there, which compares the adapter with the base.", "Try again when it is.")
    if studio.engine.vllm is not None and not with_shapes(base, studio.store.facts(name)).linears:
        raise UserError(
            f"The shapes of {to_shareable_id(base.id)} are not known here, and the server compares none.",
            "Have the base's files on this machine too: as the folder that --base names, or in the Hub's cache.",
        )
    record = with_same_base(before, base.id, base.fingerprint)
    if record == before:
        return before
    studio.store.update(record)
    try:
        studio.client.load(name, str(studio.store.path(name)))
    except BaseException:
        studio.store.update(before)
        raise
    return record


def declare_for_new_adapter(studio: Studio, name: str) -> AdapterRecord:
    """The same for an adapter that has just come in: it stays, also where the engine refuses it."""
    try:
        return declare_same_base(studio, name)
    except UserError as error:
        raise UserError(f"{name} is here, but not used on this base. {error.message}", error.remedy) from error


def local_base_of(studio: Studio, record: AdapterRecord) -> str:
    """Where the adapter's base is on this machine: the studio's own base where that is the same, else what it names."""
    own = facts_of(studio.base)
    return record.base_model if find_base_mismatch(Origin.of(record), own.id, own.fingerprint) else studio.base


def withdraw_same_base(studio: Studio, name: str) -> None:
    studio.store.update(replace(studio.store.get(name), same_base=None))

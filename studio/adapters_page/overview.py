"""The adapters of this studio as cards: gathers what is known of each for the user who looks at them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from adapters.bases import find_base_mismatch
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, inspect, why_not_config, why_not_shapes
from adapters.folder_layout import CONFIG_FILE
from adapters.record import RECORD_FILE, AdapterRecord
from core.models.base_facts import with_shapes
from studio.adapters_page.merged_models import is_merged
from studio.adapters_page.same_base import serving_base
from studio.adapters_page.view import AdapterStatus, render_cards
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.auth.published import usable_adapters
from studio.context import Studio

if TYPE_CHECKING:
    from studio.adapters_page.page import AdaptersPage


def render_adapters(studio: Studio, user: User = LOCAL_OWNER, page: AdaptersPage | None = None) -> Markup:
    """The cards of the adapters that `user` may use; what is broken or has failed is the owner's to know."""
    locations = {adapter["name"]: adapter.get("where", "slot") for adapter in studio.engine.status.adapters}
    usable = set(usable_adapters(studio, user))
    is_owner = user.role is Role.OWNER
    newer = page.updates.newer_commits() if page and is_owner else {}
    adapters = []
    for record in studio.store.list():
        if record.name not in usable:
            continue
        unusable, other_base = why_unusable(studio, record)
        adapters.append(
            AdapterStatus(
                record,
                location=locations.get(record.name, "disk"),
                unusable=unusable,
                other_base=other_base,
                failure=page.failures.of(record.name) if page and is_owner else "",
                newer=newer.get(record.name, ""),
                merged="in the cache" if is_owner and is_merged(studio.home, record) else "",
            )
        )
    return render_cards(adapters, studio.store.broken() if is_owner else [], user.role)


def why_unusable(studio: Studio, record: AdapterRecord) -> tuple[str, str]:
    """Why the engine cannot serve it, as far as its files tell; and the base here, where that is the only reason.

    Both are "" when nothing speaks against it.
    """
    folder, base = studio.store.root / record.name, serving_base(studio)
    try:
        changed = tuple((folder / name).stat().st_mtime_ns for name in (CONFIG_FILE, RECORD_FILE))
        return _why_unusable(folder, changed, *((base.id, base.fingerprint) if base else ("", None)))
    except (UserError, OSError):
        return "", ""  # it is being replaced or deleted: the next call tells


@lru_cache(maxsize=512)
def _why_unusable(folder: Path, changed: tuple[int, ...], base: str, fingerprint: str | None) -> tuple[str, str]:
    """`changed` is part of the cache's key, so that new files are inspected anew."""
    facts = inspect(folder)
    if reason := why_not_config(facts.config):
        return f"Cannot be used here. {reason}", ""
    if not base:
        return "", ""
    other_base = find_base_mismatch(facts.origin, base, fingerprint)
    other_shapes = why_not_shapes(facts, with_shapes(BaseFacts(base, fingerprint), facts))
    reason = other_base or other_shapes
    return f"Cannot be used here. {reason}" if reason else "", base if other_base and not other_shapes else ""

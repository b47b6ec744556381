"""What the Adapters tab shows, as HTML: a card for each adapter, updates on the Hub, what a push would send."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from adapters.bases import to_shareable_id
from adapters.folder_layout import PLOT_FILE
from adapters.record import AdapterRecord
from studio.adapters_page.updates import UpstreamVersion
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.html.format import number, size
from studio.html.fragments import render_table
from studio.html.templating import render

LOCATIONS = {  # where an adapter is now -> (what its card says, what that means)
    "slot": ("in a slot", "On the device: answers at once, beside the others"),
    "host": ("in memory", "In the host's memory: needs some milliseconds to get into a slot"),
    "server": ("on the server", "Loaded by the server that answers here"),
    "disk": ("on disk", "Is read when it is first asked for"),
}


@dataclass(frozen=True)
class AdapterStatus:
    """One adapter and what is known of it now.

    unusable: why it cannot be used here. other_base: the base here, where that is the only reason. failure: what last
    failed with it, and why.
    """

    record: AdapterRecord
    location: str = "disk"
    unusable: str = ""
    other_base: str = ""
    failure: str = ""
    newer: str = ""  # the commit on the Hub, when it is another than the one here
    merged: str = ""  # where its merged weights lie, for who may know


def render_cards(adapters: Sequence[AdapterStatus], broken: Sequence[tuple[str, str]], role: Role) -> Markup:
    """All adapters, newest first, then each folder that is no whole adapter, with the reason."""
    cards = [render_card(status, role) for status in adapters]
    cards += [render_broken_card(name, reason, role) for name, reason in broken]
    return render("adapters_page/cards.html", cards=cards)


def render_card(status: AdapterStatus, role: Role) -> Markup:
    """Buttons with data-look only change what this browser shows; those with data-action are the owner's."""
    return render(
        "adapters_page/card.html",
        status=status,
        record=status.record,
        location=LOCATIONS.get(status.location, (status.location, "")),
        facts=card_facts(status),
        made_for=to_shareable_id(status.record.base_model),
        here=to_shareable_id(status.other_base),
        is_user=role >= Role.USER,
        is_owner=role >= Role.OWNER,
    )


def render_broken_card(name: str, reason: str, role: Role) -> Markup:
    return render("adapters_page/broken.html", name=name, reason=reason, is_owner=role >= Role.OWNER)


def card_facts(status: AdapterStatus) -> dict[str, str]:
    record = status.record
    alpha = "" if record.lora_alpha is None else f", alpha {record.lora_alpha:g}"
    facts = {"Base": to_shareable_id(record.base_model)}
    if same := record.same_base:
        facts["A copy of"] = f"{to_shareable_id(same.base)}, said on {same.said[:10]}"
    facts |= {
        "Dataset": record.dataset.name.rsplit("/data.", 1)[0].rsplit("/", 1)[-1] if record.dataset else "–",
        "Made": record.created[:16].replace("T", " "),
        "Steps": "–" if record.steps is None else str(record.steps),
        "Eval loss": number(record.eval_loss),
        "Rank": "–" if record.lora_r is None else f"{record.lora_r}{alpha}",
        "Size": size(record.size_bytes),
    }
    if record.hub:
        facts["Hub"] = f"{record.hub.repo_id} @ {record.hub.revision[:7]}"
    if status.merged:
        facts["Merged"] = status.merged
    return facts


def render_updates(versions: Sequence[UpstreamVersion]) -> Markup:
    """For each adapter that has a repository on the Hub, whether that has another commit than the one here."""
    rows = [(version.name, version.repo_id, version.here[:10], upstream_text(version)) for version in versions]
    return render(
        "adapters_page/updates.html",
        found=bool(versions),
        table=render_table(("Adapter", "Repository", "Commit here", "Upstream"), rows),
        any_newer=any(version.newer for version in versions),
    )


def upstream_text(version: UpstreamVersion) -> str:
    return version.error or (f"newer: {version.newer[:10]}" if version.newer else "the same")


def render_hub_access(user: User) -> Markup:
    """Who the user is to the Hub here, what they may do, and who may do the rest."""
    return render(
        "adapters_page/hub_access.html",
        role="visitor" if user.role < Role.USER else "user" if user.role is Role.USER else "owner",
        name=user.name,
        has_token=bool(user.hub_token),
        env_token=bool(os.environ.get("HF_TOKEN")),
        others_sign_in=user != LOCAL_OWNER,
        offline=os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
    )


def render_push_preview(files: Mapping[str, Path | bytes], repo_id: str, visibility: str) -> Markup:
    """The files that a push would send with their sizes, and the picture of the loss curves."""
    sizes = {path: len(file) if isinstance(file, bytes) else file.stat().st_size for path, file in files.items()}
    rows = [(path, size(count)) for path, count in sizes.items()]
    rows.append((f"{len(sizes)} files", size(sum(sizes.values()))))
    plot = files.get(PLOT_FILE)
    return render(
        "adapters_page/push_preview.html",
        repo_id=repo_id,
        visibility=visibility,
        table=render_table(("File", "Size"), rows),
        picture=base64.b64encode(plot).decode() if isinstance(plot, bytes) else "",
    )

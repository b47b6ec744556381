"""Access as the page shows it: who one is and may do, what is published, the keys, the backup. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from adapters.common import damaged_files
from adapters.record import AdapterRecord
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.auth.keys import Keys
from studio.auth.published import PublishedAdapters
from studio.backup.backup import Backup
from studio.html.format import size
from studio.html.fragments import render_table
from studio.html.templating import render

MAY = {
    Role.VISITOR: "You can chat with the base and with published adapters.",
    Role.USER: "You can chat, push adapters to your own account on the Hub, and pull adapters from it.",
    Role.OWNER: "You can do everything here.",
}
OTHERS_MAY = {
    Role.VISITOR: "Who signs in can push and pull; training, loading, deleting and publishing is for the owner.",
    Role.USER: "Training, loading, deleting and publishing is for the owner.",
    Role.OWNER: "",
}
ROLE_NAMES = {Role.VISITOR: "a visitor", Role.USER: "a user", Role.OWNER: "the owner"}


def render_greeting(user: User, sign_in: bool) -> Markup:
    """Who one is, what one may do, and who may do the rest; nothing where nobody has to come in."""
    if user == LOCAL_OWNER:
        return Markup("")
    role = user.role
    # Who came with a token has no name but "owner" or "user".
    has_name = role > Role.VISITOR and user.name != role.name.lower()
    return render(
        "settings/greeting.html",
        role=role.name.lower(),
        name=user.name if has_name else "",
        who=ROLE_NAMES.get(role, "a stranger"),
        may=MAY.get(role, ""),
        others_may=OTHERS_MAY.get(role, ""),
        door=("sign in" if role is Role.VISITOR else "sign out") if sign_in else "",
    )


def render_published(records: Sequence[AdapterRecord], published: PublishedAdapters) -> Markup:
    rows = [(record.name,) for record in records if published.has(record)]
    table = render_table(("Published",), rows) if rows else ""
    return render(
        "settings/listed.html", damage=damage_of(published.path), table=table, nothing="Nothing is published."
    )


def render_keys(keys: Keys) -> Markup:
    rows = [(key.name, key.created) for key in keys.list()]
    table = render_table(("Key", "Created"), rows) if rows else ""
    return render("settings/listed.html", damage=damage_of(keys.path), table=table, nothing="No keys.")


def render_backup(backup: Backup | None) -> Markup:
    """Where and when the home folder was last kept elsewhere; nothing where it is not."""
    if backup is None:
        return Markup("")
    status = backup.status
    at = datetime.fromtimestamp(status.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if status.at else "not yet"
    rows = [("Where", status.where), ("Last", at), ("Files", f"{status.files}, {size(status.size)}")]
    return render("settings/backup.html", table=render_table(("", ""), rows), error=status.error)


def damage_of(path: Path) -> str:
    """Why what was there before is not: the file was damaged and is set aside. Nothing where it was not."""
    found = damaged_files.find_damaged_versions(path)
    return found[-1].summary if found else ""

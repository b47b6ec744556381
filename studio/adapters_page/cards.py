"""Adapters as cards: what each is, where it is resident, what can be done with it. Pure; every value is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from adapters.bases import shared_base
from adapters.record import AdapterRecord
from studio.auth.identity import Role
from studio.ui.format import number, size

NO_ADAPTERS = (
    '<div class="empty">No adapters yet. Train one on the Train page (the bundled samples take about a '
    "minute), or pull one from the Hub below.</div>"
)
WHERE = {
    "slot": ("in a slot", "On the device: answers at once, beside the others"),
    "host": ("in memory", "In the host's memory: needs some milliseconds to get into a slot"),
    "server": ("on the server", "Loaded by the server that answers here"),
    "disk": ("on disk", "Is read when it is first asked for"),
}


@dataclass(frozen=True)
class Standing:
    """One adapter and what is known of it now. unusable: why not here. trouble: what last failed with it, and why.

    other_base: the base here, where it is unusable only for not being that of the adapter.
    """

    record: AdapterRecord
    where: str = "disk"
    unusable: str = ""
    other_base: str = ""
    trouble: str = ""
    newer: str = ""  # the commit that is upstream, when it is another than the one here
    merged: str = ""  # where its merged weights lie, for who may know


def cards(shown: Sequence[Standing], broken: Sequence[tuple[str, str]], role: Role) -> str:
    """All adapters, newest first, then what is no whole adapter with the reason."""
    if not shown and not broken:
        return NO_ADAPTERS
    whole = "".join(card(each, role) for each in shown)
    return f'<div class="adapters">{whole}{"".join(broken_card(*each, role) for each in broken)}</div>'


def card(standing: Standing, role: Role) -> str:
    record = standing.record
    said, meaning = WHERE.get(standing.where, (standing.where, ""))
    badges = f'<span class="state {escape(standing.where)}" title="{escape(meaning)}">{escape(said)}</span>'
    if record.hub:
        repo = escape(record.hub.repo_id)
        badges += f'<span class="state" title="{repo} at {escape(record.hub.revision[:10])}">on the Hub</span>'
    if standing.newer:
        badges += f'<span class="state newer" title="{escape(standing.newer[:10])}">newer upstream</span>'
    tags = "".join(f"<span>#{escape(each)}</span>" for each in record.tags)
    return (
        f'<article class="adapter" data-adapter="{escape(record.name)}"><header><h3>{escape(record.name)}</h3>'
        f"{badges}</header>"
        + "".join(f'<p class="error">{escape(said)}</p>' for said in (standing.unusable, standing.trouble) if said)
        + (f'<p class="note">{escape(record.note)}</p>' if record.note else "")
        + (f'<p class="tags">{tags}</p>' if tags else "")
        + facts(standing)
        + f"<footer>{''.join(buttons(standing, role))}</footer></article>"
    )


def facts(standing: Standing) -> str:
    record = standing.record
    alpha = "" if record.lora_alpha is None else f", alpha {record.lora_alpha:g}"
    rank = "–" if record.lora_r is None else f"{record.lora_r}{alpha}"
    said = record.same_base
    rows = {
        "Base": shared_base(record.base_model),
        **({"A copy of": f"{shared_base(said.base)}, said on {said.said[:10]}"} if said else {}),
        "Dataset": record.dataset.name.rsplit("/data.", 1)[0].rsplit("/", 1)[-1] if record.dataset else "–",
        "Made": record.created[:16].replace("T", " "),
        "Steps": "–" if record.steps is None else str(record.steps),
        "Eval loss": number(record.eval_loss),
        "Rank": rank,
        "Size": size(record.size_bytes),
    }
    if record.hub:
        rows["Hub"] = f"{record.hub.repo_id} @ {record.hub.revision[:7]}"
    if standing.merged:
        rows["Merged"] = standing.merged
    cells = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items())
    return f"<dl>{cells}</dl>"


def buttons(standing: Standing, role: Role) -> list[str]:
    """data-look only changes what this browser shows; data-action is the owner's."""
    name, usable = standing.record.name, not standing.unusable
    shown = []
    if usable:
        shown.append(look("chat", name, "Chat", f"Chat with {name} alone"))
        shown.append(look("compare", name, "Compare", f"Chat with the base beside {name}"))
    if usable and role >= Role.OWNER:
        shown.append(act("continue", name, "Train on", f'title="A new run that begins with {escape(name)}"'))
    if role >= Role.OWNER and standing.other_base:
        made_for, here = (shared_base(each) for each in (standing.record.base_model, standing.other_base))
        about = f'title="Say that {escape(made_for)} is a copy of {escape(here)}, and use {escape(name)} on it"'
        sure = escape(f"Say that {made_for} is a copy of {here}? {name} is then used on it, and its record says so.")
        shown.append(act("same", name, "It is the same base", f'{about} data-confirm="{sure}"'))
    if role >= Role.OWNER and standing.record.same_base:
        about = f'title="Take back that the base of {escape(name)} is a copy of the one here"'
        shown.append(act("not-same", name, "Not the same base", about))
    if role >= Role.USER:
        about = f'title="Its PEFT folder with a model card" aria-label="Download {escape(name)} as a zip"'
        shown.append(f'<a class="small" href="/adapters/{escape(name)}.zip" download {about}>Zip</a>')
    if role >= Role.OWNER and standing.merged:
        about = f'title="The full weights it was merged into" aria-label="Download {escape(name)} merged, as a zip"'
        shown.append(f'<a class="small" href="/adapters/{escape(name)}/merged.zip" download {about}>Merged zip</a>')
    if role >= Role.USER:
        shown.append(look("push", name, "Push …", f"Push {name} to the Hub"))
    if role >= Role.OWNER:
        shown.append(look("change", name, "Change …", f"Rename, describe, load, merge or delete {name}"))
    return shown


def look(what: str, name: str, label: str, about: str) -> str:
    return (
        f'<button class="small" data-look="{what}" data-value="{escape(name)}" title="{escape(about)}">{label}</button>'
    )


def act(what: str, name: str, label: str, about: str) -> str:
    """`about`: further attributes, escaped."""
    return f'<button class="small" data-action="{what}" data-value="{escape(name)}" {about}>{label}</button>'


def broken_card(name: str, reason: str, role: Role) -> str:
    delete = (
        f'<footer><button class="small" data-action="delete" data-value="{escape(name)}" '
        f'data-confirm="Delete what is there of {escape(name)}?">Delete it</button></footer>'
        if role >= Role.OWNER
        else ""
    )
    return (
        f'<article class="adapter broken" data-adapter="{escape(name)}"><header><h3>{escape(name)}</h3></header>'
        f'<p class="error">Cannot be used: {escape(reason)}</p>{delete}</article>'
    )

"""A plan as the page shows it: bars of what takes memory against the card's, each part explained. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.planner import CHAT, Gpu, MemoryPart, Plan, TrainingMethod, compare_methods, describe_changes
from core.planner.comparison import SEVEN_BILLION
from studio.ui.format import duration, size

CALIBRATE = ' <button class="small" data-look="calibrate">Measure it: a few steps</button>'
ALL_THE_SAME = (
    "Settings can change what it serves. For use elsewhere, the box beneath Start has it trained all the same."
)
GB, MB = (10**9, "GB"), (10**6, "MB")  # what lectures and shops count in; the plan itself says GiB
# Chosen to be told apart by people who see colours differently, on light and dark grounds; one hue per kind of thing.
COLOURS = {
    "Base weights": "#2f6fb3",
    "Weights": "#2f6fb3",
    "Embeddings and head": "#6fa8dc",
    "Adapter": "#0a8f5b",
    "Gradients": "#d08700",
    "Optimiser states": "#b5522b",
    "Activations": "#8e63b8",
    "Activations kept": "#8e63b8",
    "Layer at work": "#b694d6",
    "Unpacked matrix": "#c9a9a6",
    "Logits": "#c45c8a",
    "Fragmentation": "#9a9a94",
    "Process": "#6e6e69",
}
CHAT_COLOUR = "#3a9ea5"
BAR = "position:relative;display:flex;height:1.5rem;border-radius:4px;overflow:visible"
MARK = "position:absolute;top:-.25rem;bottom:-.25rem;width:2px;background:currentColor"
LIST = "list-style:none;padding:0"
SWATCH = "display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.4rem;vertical-align:-.05rem"


def plan_card(plan: Plan, *, counting: bool = False) -> str:
    """The plan beside Start: verdict, bar, time, and the parts in a fold-out list.

    counting: the dataset's tokens are being counted, and the plan comes again with steps and time.
    """
    verdict = "fits" if plan.fits else "does not fit"
    steps = plan.schedule
    facts = [f"<b>Peak</b> {size(plan.total)} of {size(plan.gpu.usable)} on {escape(plan.gpu.name)}"]
    if steps:
        facts.append(f"<b>Steps</b> {steps.steps:,}")
        facts.append(f"<b>Tokens per epoch</b> {steps.tokens_per_epoch:,}")
    if plan.eta_seconds is not None:
        facts.append(f"<b>Time</b> {duration(plan.eta_seconds)} ± {duration(plan.eta_uncertainty)}")
    elif counting:
        facts.append('<b>Steps and time</b> <span class="said">once the tokens are counted …</span>')
    source = (
        f'<p class="said">{escape(plan.time.source)}.{CALIBRATE if plan.fits and unmeasured(plan) else ""}</p>'
        if plan.time
        else ""
    )
    scale = max(plan.total, plan.gpu.usable)
    rows = "".join(
        f"<li>{_swatch(part)}<b>{escape(part.name)}</b> {size(part.bytes)}: {escape(part.explanation)}</li>"
        for part in plan.parts
    )
    return (
        f'<div class="plan" data-fits="{str(plan.fits).lower()}" data-served="{str(plan.served).lower()}">'
        f'<p class="{"" if plan.fits else "error"}" role="status">{escape(plan.reason)}</p>{_about_serving(plan)}'
        f"{_about_warmup(plan)}"
        f"{_bar(plan.parts, plan.gpu.usable, scale, f'The run {verdict}')}{_nearest(plan)}"
        f'<div class="facts">{"".join(f"<span>{fact}</span>" for fact in facts)}</div>{source}'
        f'<details style="margin:.6rem 0"><summary>What takes memory</summary><ul style="{LIST}">{rows}</ul></details>'
        f'<details style="margin:.6rem 0"><summary>'
        f"Why not train all weights? Full fine-tuning, LoRA and QLoRA compared</summary>"
        f"{lesson(plan)}</details></div>"
    )


def unmeasured(plan: Plan) -> bool:
    """Whether no speed is known, and one could be measured here."""
    return plan.time is not None and plan.time.seconds is None and plan.gpu.here


def lesson(plan: Plan) -> str:
    """The comparison for this base on this card, and for the round example of lectures on a small one."""
    t4 = Gpu.find("t4")
    here = comparison(compare_methods(plan.shape, plan.gpu), plan.gpu, plan.shape.name)
    return here + comparison(compare_methods(SEVEN_BILLION, t4), t4, "7 billion weights")


def comparison(bars: Sequence[TrainingMethod], card: Gpu, base: str) -> str:
    """What people learn from: five ways to train one base, each as a bar against the card's memory, in GB."""
    scale = max([bar.total for bar in bars] + [card.usable])
    unit = GB if max(bar.total for bar in bars) >= GB[0] else MB
    shown = "".join(_compared(bar, card, scale, unit) for bar in bars)
    names = [part.name for part in bars[0].parts]
    legend = "".join(f"<span>{_swatch_of(COLOURS[name])}{escape(name)}</span>" for name in names)
    return (
        f'<figure class="plan" style="margin:.8rem 0 1.6rem"><figcaption><b>Ways to train {escape(base)}</b>, in '
        f"{unit[1]} ({unit[0]:,} bytes). The line is what {escape(card.name)} has: {_in(GB, card.usable)}.</figcaption>"
        f'<div class="facts">{legend}</div>{shown}</figure>'
    )


def _compared(bar: TrainingMethod, card: Gpu, scale: int, unit: tuple[int, str]) -> str:
    sums = " + ".join(f"{part.bytes / unit[0]:.1f}" for part in bar.parts[:3])
    verdict = "fits" if bar.fits(card) else "does not fit"
    explained = "".join(
        f"<li>{_swatch(part)}<b>{escape(part.name)}</b> {_in(unit, part.bytes)}: {escape(part.explanation)}</li>"
        for part in bar.parts
    )
    return (
        f'<div style="margin:.7rem 0" data-fits="{str(bar.fits(card)).lower()}"><b>{escape(bar.name)}</b> '
        f"weights, gradients, states: {sums} = {_in(unit, bar.static)}; {_in(unit, bar.total)} with activations: "
        f"{verdict}."
        f"{_bar(bar.parts, card.usable, scale, f'{bar.name} {verdict}')}"
        f'<details><summary>{escape(bar.note)}</summary><ul style="{LIST}">{explained}</ul></details>'
        "</div>"
    )


def _bar(parts: Sequence[MemoryPart], usable: int, scale: int, label: str) -> str:
    """One stacked bar; widths are shares of `scale`, and the mark stands at `usable`."""
    pieces = "".join(
        f'<i title="{escape(part.name)} {size(part.bytes)}" '
        f'style="width:{part.bytes / scale:.3%};background:{_colour(part)}"></i>'
        for part in parts
        if part.bytes
    )
    total = sum(part.bytes for part in parts)
    spoken = f"{label}: {size(total)} of {size(usable)}"
    return (
        f'<div style="{BAR}" role="img" aria-label="{escape(spoken)}">{pieces}'
        f'<span style="{MARK};left:{usable / scale:.3%}"></span></div>'
    )


def _about_serving(plan: Plan) -> str:
    if plan.served:
        return f'<p class="said">{escape(plan.about_serving)}</p>' if plan.about_serving else ""
    return f'<p class="error">{escape(plan.about_serving)}</p><p class="said">{ALL_THE_SAME}</p>'


def _about_warmup(plan: Plan) -> str:
    return f'<p class="said">{escape(plan.about_warmup)}</p>' if plan.about_warmup else ""


def _nearest(plan: Plan) -> str:
    if plan.nearest is None:
        return ""
    items = "".join(f"<li><code>{escape(each)}</code></li>" for each in describe_changes(plan.recipe, plan.nearest))
    take = '<button class="small" data-look="nearest">Change the settings so</button>'
    return f"<p>Nearest recipe that would do:</p><ul>{items}</ul><p>{take}</p>"


def _colour(part: MemoryPart) -> str:
    return CHAT_COLOUR if part.owner == CHAT else COLOURS[part.name]


def _swatch(part: MemoryPart) -> str:
    return _swatch_of(_colour(part))


def _swatch_of(colour: str) -> str:
    return f'<i style="{SWATCH};background:{colour}"></i>'


def _in(unit: tuple[int, str], count: int) -> str:
    return f"{count / unit[0]:.1f} {unit[1]}"

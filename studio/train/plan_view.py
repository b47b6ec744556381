"""A plan as the page shows it: bars of what takes memory against the GPU's, each part explained. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from core.planner import CHAT, Gpu, MemoryPart, Plan, TrainingMethod, compare_methods, describe_changes
from core.planner.comparison import SEVEN_BILLION
from studio.html.format import size
from studio.html.templating import render

GB, MB = (10**9, "GB"), (10**6, "MB")  # what lectures and shops count in; the plan itself says GiB
# Chosen to be told apart by people who see colours differently, on light and dark grounds; one hue per kind of thing.
COLOURS = {
    "Base weights": "#2f6fb3",
    "Weights": "#2f6fb3",
    "Base written out": "#1f4e7d",
    "Embeddings and head": "#6fa8dc",
    "Adapter": "#0a8f5b",
    "Gradients": "#d08700",
    "Optimiser states": "#b5522b",
    "Activations": "#8e63b8",
    "Activations kept": "#8e63b8",
    "Layer at work": "#b694d6",
    "Unpacked matrix": "#c9a9a6",
    "Logits": "#c45c8a",
    "Adapter in 16 bit": "#6bbf8e",
    "Optimiser's step": "#d98c6f",
    "Fragmentation": "#9a9a94",
    "Process": "#6e6e69",
}
CHAT_COLOUR = "#3a9ea5"


@dataclass(frozen=True)
class BarPart:
    """`width` is its share of the drawing in CSS, `amount` its memory as the list beneath says it."""

    name: str
    bytes: int
    amount: str
    explanation: str
    colour: str
    width: str


@dataclass(frozen=True)
class MemoryBar:
    """`limit` is where the GPU's memory ends, as a share of the drawing in CSS."""

    label: str
    parts: list[BarPart]
    limit: str


@dataclass(frozen=True)
class ComparedMethod:
    name: str
    note: str
    sum: str
    total: str
    fits: bool
    verdict: str
    bar: MemoryBar


def render_plan(plan: Plan, *, counting: bool = False, measuring: str = "") -> Markup:
    """The plan beside Start: verdict, bar, time, and the parts in a fold-out list.

    counting: the dataset's tokens are being counted, and the plan comes again with steps and time. measuring: what is
    being measured in the background, from which the time will follow.
    """
    verdict = "fits" if plan.fits else "does not fit"
    scale = max(plan.total, plan.gpu.usable)
    return render(
        "train/plan.html",
        plan=plan,
        bar=memory_bar(plan.parts, plan.gpu.usable, scale, f"The run {verdict}"),
        nearest=describe_changes(plan.recipe, plan.nearest) if plan.nearest else None,
        counting=counting,
        measuring=measuring,
        can_measure=can_measure(plan) and not measuring,
        comparisons=render_lesson(plan),
    )


def can_measure(plan: Plan) -> bool:
    """Whether no speed is known, and one could be measured here."""
    return plan.time is not None and plan.time.seconds is None and plan.gpu.here


def render_lesson(plan: Plan) -> list[Markup]:
    """The comparison for this base on this GPU, and for the round example of lectures on a small one."""
    t4 = Gpu.find("t4")
    return [
        render_comparison(compare_methods(plan.shape, plan.gpu), plan.gpu, plan.shape.name),
        render_comparison(compare_methods(SEVEN_BILLION, t4), t4, "7 billion weights"),
    ]


def render_comparison(methods: Sequence[TrainingMethod], gpu: Gpu, base: str) -> Markup:
    """What people learn from: five ways to train one base, each as a bar against the GPU's memory, in GB."""
    most = max(method.total for method in methods)
    unit = GB if most >= GB[0] else MB
    scale = max(most, gpu.usable)
    return render(
        "train/comparison.html",
        base=base,
        gpu=gpu,
        unit=unit[1],
        unit_bytes=unit[0],
        usable=amount_in(GB, gpu.usable),
        legend=[(part.name, COLOURS[part.name]) for part in methods[0].parts],
        methods=[compared(method, gpu, scale, unit) for method in methods],
    )


def compared(method: TrainingMethod, gpu: Gpu, scale: int, unit: tuple[int, str]) -> ComparedMethod:
    terms = " + ".join(f"{part.bytes / unit[0]:.1f}" for part in method.parts[:3])
    fits = method.fits(gpu)
    verdict = "fits" if fits else "does not fit"
    return ComparedMethod(
        method.name,
        method.note,
        f"{terms} = {amount_in(unit, method.static)}",
        amount_in(unit, method.total),
        fits,
        verdict,
        memory_bar(method.parts, gpu.usable, scale, f"{method.name} {verdict}", unit),
    )


def memory_bar(
    parts: Sequence[MemoryPart], usable: int, scale: int, label: str, unit: tuple[int, str] | None = None
) -> MemoryBar:
    """One stacked bar; widths are shares of `scale`, and the mark stands at `usable`. Amounts are in `unit`, or GiB."""
    total = sum(part.bytes for part in parts)
    bar_parts = [
        BarPart(
            part.name,
            part.bytes,
            amount_in(unit, part.bytes) if unit else size(part.bytes),
            part.explanation,
            CHAT_COLOUR if part.owner == CHAT else COLOURS[part.name],
            f"{part.bytes / scale:.3%}",
        )
        for part in parts
    ]
    return MemoryBar(f"{label}: {size(total)} of {size(usable)}", bar_parts, f"{usable / scale:.3%}")


def amount_in(unit: tuple[int, str], count: int) -> str:
    return f"{count / unit[0]:.1f} {unit[1]}"

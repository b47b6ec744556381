"""What the planner says of a training's memory against what its rehearsal took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.gpu.plan import SHAPES
from core.planner import Gpu
from core.planner.memory_parts import training_parts
from core.planner.model_shape import shape_of
from tests.rehearsal.recipes import recipe_for
from tests.rehearsal.run import rehearse
from tests.rehearsal.verdict import problems_of_training

MIB = 1 << 20
FEW, MORE = 2, 4  # layers that are rehearsed: all bytes alive are linear in the number of layers
GAPS, PROCESS = "Fragmentation", "Process"
RESTING = ("base", "adapter", "gradients", "states")


@dataclass(frozen=True)
class Compared:
    """Bytes of one case. simulated, planned: the most alive. gaps: what the allocator's segments add to it, simulated
    (None where not all layers were rehearsed: gaps are not linear in them) and planned. expandable: such gaps with
    expandable_segments:True. parts: both, by name. problems: what else was wrong."""

    card: str
    shape: str
    recipe: dict[str, Any]
    simulated: int
    planned: int
    gaps: int | None
    gaps_planned: int
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    peak_in: str = ""
    attention: tuple[str, ...] = ()
    expandable: int | None = None
    problems: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        return self.planned / self.simulated

    def __str__(self) -> str:
        settings = " ".join(f"{name}={value}" for name, value in self.recipe.items()) or "as by default"
        parts = ", ".join(f"{name} {a / MIB:.0f} / {b / MIB:.0f}" for name, (a, b) in self.parts.items())
        return (
            f"{self.shape} on {self.card}, {settings}: simulated {self.simulated / MIB:.0f} MiB, planned "
            f"{self.planned / MIB:.0f} MiB, ratio {self.ratio:.4f}; peak in {self.peak_in}; {parts}"
        )


def compare(cases: Sequence[tuple[str, str, dict[str, Any]]], *, whole: bool = False) -> list[Compared]:
    """cases: (card, shape, settings of the recipe). whole: with all layers, else with few and extended to all."""
    layers: tuple[int | None, ...] = (None,) if whole else (FEW, MORE)
    wanted = [
        {"card": card, "shape": shape, "recipe": settings, "layers": count}
        for card, shape, settings in cases
        for count in layers
    ]
    reports = rehearse("training", wanted)
    for report in reports:
        if "raised" in report:
            raise AssertionError(f"{report['case']}: {report['raised']}\n{report['traceback']}")
    groups = [reports[at : at + len(layers)] for at in range(0, len(reports), len(layers))]
    return [_compare(*case, group) for case, group in zip(cases, groups, strict=True)]


def _compare(card: str, name: str, settings: dict[str, Any], reports: list[dict[str, Any]]) -> Compared:
    shape, recipe, gpu = shape_of(SHAPES[name], name), recipe_for(settings), Gpu.find(card)
    found = reports[0] if len(reports) == 1 else _extended(*reports, layers=shape.layers)
    # The rehearsed gradients stay after a step, as those of a micro-batch do before others.
    accumulating = replace(recipe, gradient_accumulation_steps=2)
    planned = {part.name: part.bytes for part in training_parts(accumulating, shape, gpu)}
    gaps_planned = planned.pop(GAPS)
    planned.pop(PROCESS)
    whole = len(reports) == 1
    simulated = max(found["peaks"].values())
    total = sum(planned.values())
    base = planned["Base weights"] + planned["Embeddings and head"]
    resting = {"base": base, "adapter": planned["Adapter"], "gradients": planned["Gradients"]}
    resting["states"] = planned["Optimiser states"]
    parts = {part: (found[part], resting[part]) for part in RESTING}
    parts["kept"] = found["kept"], planned["Activations kept"]
    parts["floating"] = simulated - sum(found[part] for part in RESTING), total - sum(resting.values())
    return Compared(
        card,
        name,
        settings,
        simulated,
        total,
        found["held"] - simulated if whole else None,
        gaps_planned,
        parts,
        max(found["peaks"], key=lambda phase: found["peaks"][phase]),
        tuple(found["attention"]),
        found["expandable"] - simulated if whole else None,
        tuple(problem for report in reports for problem in problems_of_training(report)),
    )


def _extended(few: dict[str, Any], more: dict[str, Any], *, layers: int) -> dict[str, Any]:
    times = (layers - FEW) / (MORE - FEW)

    def extend(one: int, two: int) -> int:
        return round(one + times * (two - one))

    found = {part: extend(few[part], more[part]) for part in (*RESTING, "kept", "held", "expandable")}
    peaks = {phase: extend(few["peaks"][phase], more["peaks"][phase]) for phase in few["peaks"]}
    return found | {"peaks": peaks, "attention": more["attention"]}

"""How the base's weights are kept while serving: packed as they are, or each linear layer in another form."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from adapters.common.errors import UserError
from core.models.device import Choice
from core.models.writing_out import is_packed
from core.serving.engine.block_linear import BlockLinear
from core.serving.engine.compiled_forward import why_not_compiled
from core.serving.engine.linear_forms import (
    BatchedLinear,
    Bf16Linear,
    ConvertedLinear,
    ExactLinear,
    Fp16Linear,
    Int8Linear,
)
from core.serving.engine.shared_linear import MemberLinear, share_product
from core.serving.engine.start_record import StartRecord

AUTO, PACKED, EXACT, FP16, NF4 = "auto", "packed", "exact", "fp16", "nf4"
FORMS: dict[str, type[ConvertedLinear]] = {  # from the one that changes nothing to the one that changes most
    EXACT: ExactLinear,
    FP16: Fp16Linear,
    NF4: BlockLinear,
    "bf16": Bf16Linear,
    "int8": Int8Linear,
}
SHARE_OF_MEMORY = 0.5  # converted weights may take this much of what is free,
SECOND_SHARE = 0.25  # and the second copy of exact ones this much of what is free then: a training run needs the rest
SAMPLE = 8 << 20  # weights that are measured, unless the base has less
MEASURED_ROWS = (1, 8)
ROUNDS = 5
HOPELESS = 2.0  # times as long as another form: not measured again
WORTH_IT = 0.87  # a form that changes more must take less than this of the time of one that changes less


def choose_weights(
    model: PreTrainedModel, wanted: str, device: torch.device, record: StartRecord | None = None
) -> Choice:
    """The form to keep the base's weights in. Raises UserError when the one asked for does not work here.

    record: where figures of an earlier start are found, and those of this one are kept.
    """
    layers = linear_layers(model)
    need = {form: sum(map(kind.bytes_for, layers.values())) for form, kind in FORMS.items()}
    if wanted != AUTO:
        if why := _why_not(wanted, model, layers):
            raise UserError(f"The weights cannot be kept as {wanted}: {why}.", "Leave --weights at auto.")
        return Choice(wanted, "asked for")
    if not _has_packed(layers):
        return Choice(EXACT, "the base is not quantised")
    if device.type != "cpu":
        return Choice(PACKED, "on a GPU the 4-bit product is fused and reads a quarter of the bytes")
    if not why_not_compiled(model):
        return Choice(NF4, "a forward is one compiled call, on the 4-bit codes as they are")
    free = psutil.virtual_memory().available
    fitting = [form for form in FORMS if need[form] <= SHARE_OF_MEMORY * free and not _why_not(form, model, layers)]
    if not fitting:
        least = min(need.values())
        return Choice(PACKED, f"in other forms they would take {least / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free")
    figures, when = (record or StartRecord()).milliseconds(
        fitting, lambda: {form: speed.milliseconds for form, speed in measure_forms(layers, fitting).items()}
    )
    speeds = {form: FormSpeed(milliseconds) for form, milliseconds in figures.items()}
    form = fastest(speeds)
    return Choice(form, f"{_told(speeds, when)}; {need[form] / 2**20:.0f} MiB of {free / 2**30:.1f} GiB free")


def convert_weights(model: PreTrainedModel, form: str, shared: Iterable[Sequence[str]] = ()) -> None:
    """Replace every linear layer by one of this form, made from the very values that its NF4 codes stand for.

    shared: groups of module paths whose layers read one input; each group becomes one product. Layers whose shape the
    form cannot take are exact ones.
    """
    kind, layers = FORMS[form], linear_layers(model)

    def convert(paths: Sequence[str]) -> None:
        members = [layers[path] for path in paths]
        if len(paths) > 1:
            converted: Sequence[nn.Linear] = share_product(kind, members, model.dtype)
        else:
            converted = [_fitting(kind, members[0].out_features, members[0].in_features).of(members, model.dtype)]
        for path, layer in zip(paths, converted, strict=True):
            model.set_submodule(path, layer)

    def stays(path: str) -> bool:
        """It is an exact layer already; the head's weight may be the embedding's too."""
        layer = layers[path]
        return type(layer) is nn.Linear and _fitting(kind, layer.out_features, layer.in_features) is ExactLinear

    def can_share(path: str) -> bool:
        return not stays(path) and not kind.why_not(layers[path].out_features, layers[path].in_features)

    groups = [tuple(paths) for paths in shared if all(map(can_share, paths))]
    grouped = set(chain.from_iterable(groups))
    alone = [(path,) for path in layers if path not in grouped and not stays(path)]
    # FBGEMM packs on one thread, 25 ns a weight; nobody else needs the cores while the base is loaded.
    with ThreadPoolExecutor(psutil.cpu_count() or 1) as pool:
        for done in [pool.submit(convert, paths) for paths in [*groups, *alone]]:
            done.result()


def choose_batched(model: nn.Module, form: str, device: torch.device) -> Choice:
    """Whether large exact layers get a second copy of their weights for steps of several rows."""
    if device.type != "cpu":
        return Choice("off", "on a GPU one layout serves any number of rows")
    if form != EXACT:
        return Choice("off", "it is for exact weights")
    need = sum(layer.weight.nbytes for layer, _ in _large_layers(model))
    free = psutil.virtual_memory().available
    if not need:
        return Choice("off", "no layer is large enough to gain by it")
    if need > SECOND_SHARE * free:
        return Choice("off", f"the second copy would take {need / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free")
    return Choice(
        "on",
        f"steps of several rows are up to twice as fast; {need / 2**20:.0f} MiB of {free / 2**30:.1f} GiB free",
    )


def add_batched(model: nn.Module) -> None:
    """Give every large exact layer its second copy."""
    for layer, put in _large_layers(model):
        put(BatchedLinear(layer.weight.detach(), _bias(layer)))


@dataclass(frozen=True)
class FormSpeed:
    """Milliseconds that the sampled layers take together, per number of rows in MEASURED_ROWS."""

    milliseconds: tuple[float, ...]

    def relative_to(self, other: FormSpeed) -> float:
        return statistics.fmean(own / its for own, its in zip(self.milliseconds, other.milliseconds, strict=True))


@torch.inference_mode()
def measure_forms(layers: dict[str, Any], forms: list[str]) -> dict[str, FormSpeed]:
    """Time a sample of the layers in each form, at one row and at eight. The best of some rounds, by turns.

    A sample that is only a part of the base is read from memory, as a step reads the base: the other forms' turns have
    put it out of the processor's caches. One that is the whole base stays in them as far as it fits, and does so in a
    step too; it is read once before it is timed.
    """
    chosen = _sample(layers)
    made = {form: [_as_served(FORMS[form], layer) for layer in chosen] for form in forms}
    is_whole = len(chosen) == len(layers)
    best = {form: [float("inf")] * len(MEASURED_ROWS) for form in forms}
    generator = torch.Generator().manual_seed(0)
    sizes = {layer.in_features for layer in chosen}
    for form in made:  # the first call of a form may load or compile its code
        made[form][0](torch.zeros(1, made[form][0].in_features))
    for _ in range(ROUNDS):
        for index, rows in enumerate(MEASURED_ROWS):
            inputs = {size: torch.randn(rows, 1, size, generator=generator) for size in sizes}
            for form, linears in made.items():
                if HOPELESS * min(times[index] for times in best.values()) < best[form][index] < float("inf"):
                    continue
                for _ in range(1 + is_whole):
                    started = time.perf_counter()
                    for linear in linears:
                        linear(inputs[linear.in_features])
                    taken = 1000 * (time.perf_counter() - started)
                best[form][index] = min(best[form][index], taken)
    return {form: FormSpeed(tuple(times)) for form, times in best.items()}


def fastest(speeds: dict[str, FormSpeed]) -> str:
    """Of the forms, in the order of FORMS, the fastest; one that changes more must be clearly faster."""
    chosen, *others = speeds
    for form in others:
        if speeds[form].relative_to(speeds[chosen]) < WORTH_IT:
            chosen = form
    return chosen


def linear_layers(model: nn.Module) -> dict[str, Any]:
    """Module path -> linear layer, the 4-bit ones and the head among them."""
    return {path: module for path, module in model.named_modules() if isinstance(module, nn.Linear)}


def _sample(layers: dict[str, Any]) -> list[Any]:
    """Layers in the model's order, up to SAMPLE weights; at least one."""
    sample: list[Any] = []
    for layer in layers.values():
        if sample and sum(map(_size, sample)) + _size(layer) > SAMPLE:
            break
        sample.append(layer)
    return sample


def _as_served(kind: type[ConvertedLinear], layer: Any) -> ConvertedLinear:
    """Exact layers have a second copy, and those of a shape that the kind cannot take are exact."""
    kind = _fitting(kind, layer.out_features, layer.in_features)
    if kind is ExactLinear and not BatchedLinear.why_not(layer.out_features, layer.in_features):
        kind = BatchedLinear
    return kind.of([layer], torch.float32)


def _fitting(kind: type[ConvertedLinear], out_features: int, in_features: int) -> type[ConvertedLinear]:
    return ExactLinear if kind.why_not(out_features, in_features) else kind


def _why_not(form: str, model: PreTrainedModel, layers: dict[str, Any]) -> str:
    """Why none of the layers can have this form; empty when one can."""
    if form in (PACKED, EXACT):
        return ""
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return "that is for a base that calculates on a CPU, in float32"
    kind = FORMS[form]
    reasons = [kind.why_not(layer.out_features, layer.in_features) for layer in layers.values()]
    return reasons[0] if reasons and all(reasons) else ""


def _told(speeds: dict[str, FormSpeed], when: str) -> str:
    """The figures in words."""
    figures = ", ".join(
        f"{form} {' / '.join(f'{ms:.1f}' for ms in speed.milliseconds)}" for form, speed in speeds.items()
    )
    return f"measured {when}, ms for some layers at {' / '.join(map(str, MEASURED_ROWS))} rows: {figures}"


def _bias(layer: Any, dtype: torch.dtype = torch.float32) -> Tensor | None:
    return None if layer.bias is None else layer.bias.detach().to(dtype)


def _size(layer: Any) -> int:
    return int(layer.in_features * layer.out_features)


def _large_layers(model: nn.Module) -> list[tuple[nn.Linear, Callable[[ConvertedLinear], None]]]:
    """The exact layers that gain by a second copy, each with what puts another layer in its place."""
    found: list[tuple[nn.Linear, Callable[[ConvertedLinear], None]]] = []
    for path, layer in linear_layers(model).items():
        if isinstance(layer, MemberLinear) and layer.index == 0:
            found.append((layer.product.linear, partial(setattr, layer.product, "linear")))
        elif type(layer) in (nn.Linear, ExactLinear):
            found.append((layer, partial(model.set_submodule, path)))
    return [
        (layer, put)
        for layer, put in found
        if type(layer) in (nn.Linear, ExactLinear) and not BatchedLinear.why_not(layer.out_features, layer.in_features)
    ]


def _has_packed(layers: dict[str, Any]) -> bool:
    return any(map(is_packed, layers.values()))

"""The plan of one run: does it fit beside the chat, what would, and how long will it take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.common.home import Home
from core.models.device import OVERFLOWS_FP16
from core.planner.advice import describe_changes, find_nearest_that_fits
from core.planner.chat_parts import Chat, chat_parts
from core.planner.gpus import FLASH_CAPABILITY, Gpu
from core.planner.memory_parts import CHAT, MemoryPart
from core.planner.model_shape import ModelShape, read_shape
from core.planner.serving_limits import NOT_SERVED, NOT_SERVED_ALLOWED, ServingLimits, find_init_adapter
from core.planner.time import Schedule, Speeds, TimeEstimate, estimate_time, make_schedule
from core.planner.training_form import PADDING_FREE, TrainingForm, choose_form
from core.recipes.recipe import Recipe
from core.recipes.warmup import warmup_warning

GIB = 1 << 30


@dataclass(frozen=True)
class Plan:
    """Bytes and seconds. `parts` add up to `total`, the most that is in use at one moment.

    padding_free: the conversations of a micro-batch lie end to end (core.planner.training_form).
    unserved: why the adapter cannot be chatted with here; None where it can, or where that is not known.
    serving_caveat: what is not known about serving it.
    nearest: the smallest change of the recipe that fits and is served; None when the recipe itself is, or nothing does.
    without_chat: it would fit if the chat were stopped meanwhile, as core.training.placement then has it.
    eta_seconds ± eta_uncertainty: None without the dataset's lengths or without a measured speed; `time` says why.
    """

    recipe: Recipe
    gpu: Gpu
    shape: ModelShape
    parts: list[MemoryPart]
    fits: bool
    reason: str
    padding_free: bool = False
    unserved: str | None = None
    serving_caveat: str | None = None
    nearest: Recipe | None = None
    without_chat: bool = False
    schedule: Schedule | None = None
    time: TimeEstimate | None = None

    @property
    def total(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def about_warmup(self) -> str:
        """A sentence where the run ends before its learning rate has risen, else ""."""
        return warmup_warning(self.recipe, self.schedule.steps) if self.schedule else ""

    @property
    def about_padding(self) -> str:
        """A sentence where nothing is padded, else ""."""
        return PADDING_FREE if self.padding_free else ""

    @property
    def served(self) -> bool:
        """Whether what it trains can be chatted with here, or that is not wanted."""
        return self.unserved is None or self.recipe.allow_unserved

    @property
    def refused(self) -> bool:
        return not (self.fits and self.served)

    @property
    def about_serving(self) -> str:
        """What there is to say about chatting with what is trained; "" where nothing is."""
        if self.unserved is None:
            return self.serving_caveat or ""
        return " ".join([NOT_SERVED, self.unserved, *([NOT_SERVED_ALLOWED] if self.recipe.allow_unserved else [])])

    @property
    def eta_seconds(self) -> float | None:
        return self.time.seconds if self.time else None

    @property
    def eta_uncertainty(self) -> float | None:
        return self.time.uncertainty if self.time else None


def plan_run(
    recipe: Recipe,
    gpu: Gpu,
    *,
    dataset_lengths: list[int] | None = None,
    home: Home | None = None,
    speeds: Speeds = tuple,
    chat: Chat | None = Chat(),  # noqa: B008  (frozen)
    shape: ModelShape | None = None,
    limits: ServingLimits | None = None,
) -> Plan:
    """Plan a run on `gpu`, with `chat` beside it (None: none) and for an engine as `limits` says (None: for none).

    dataset_lengths: tokens of each conversation, before anything is cut or held out. home: where the adapter is that
    the run begins from. speeds: looks up what has been measured on this base (core.training.speeds.known_speeds); asked
    only where there is a time to tell. shape: the base's, where it has been read before. Raises UserError when the
    base's config can't be had or is of an architecture that is not known, or when lora_target_modules can't be trained.
    """
    shape = shape or read_shape(recipe.model_name_or_path)

    longest = max(dataset_lengths) if dataset_lengths else None
    init_adapter = find_init_adapter(recipe, home) if home else None

    def form_beside_chat(candidate: Recipe) -> TrainingForm:
        if init_adapter is not None:  # whose rank is kept
            candidate = replace(candidate, lora_r=init_adapter.max_rank)
        chat_memory = chat_parts(candidate, shape, gpu, chat) if chat else []
        room = gpu.usable - sum(part.bytes for part in chat_memory)
        form = choose_form(candidate, shape, gpu, room=room, longest=longest)
        return replace(form, parts=form.parts + chat_memory)

    def why_unserved(candidate: Recipe) -> str | None:
        targets = shape.chosen(candidate.lora_target_modules)
        return limits.why_unserved(candidate, targets, init_adapter) if limits else None

    def good(candidate: Recipe) -> bool:
        if not candidate.allow_unserved and why_unserved(candidate):
            return False
        return form_beside_chat(candidate).total <= gpu.usable

    form = form_beside_chat(recipe)
    parts, total = form.parts, form.total
    steps = make_schedule(recipe, dataset_lengths) if dataset_lengths else None
    plan = Plan(
        recipe,
        gpu,
        shape,
        parts,
        fits=total <= gpu.usable,
        reason="",
        padding_free=form.padding_free,
        unserved=why_unserved(recipe),
        serving_caveat=limits.find_caveat(init_adapter.max_rank if init_adapter else recipe.lora_r) if limits else None,
        schedule=steps,
        time=estimate_time(recipe, gpu, steps, speeds) if steps else None,
    )
    if problem := _impossible(shape, gpu):
        return replace(plan, fits=False, reason=problem)
    nearest = find_nearest_that_fits(recipe, good, dataset_lengths) if plan.refused else None
    if plan.fits:
        left = gpu.usable - total
        reason = f"It fits: {_gib(total)} of {_gib(gpu.usable)} at the peak, {_gib(left)} left."
        return replace(plan, reason=reason, nearest=nearest)
    alone = sum(part.bytes for part in parts if part.owner != CHAT)
    without_chat = chat is not None and alone <= gpu.usable
    reason = _why_not(recipe, gpu, parts, nearest, without_chat)
    return replace(plan, reason=reason, nearest=nearest, without_chat=without_chat)


def _impossible(shape: ModelShape, gpu: Gpu) -> str | None:
    if gpu.capability and gpu.capability < FLASH_CAPABILITY and shape.model_type in OVERFLOWS_FP16:
        return (
            f"It cannot be trained on a {gpu.name}: {shape.model_type} overflows in fp16, and this card has no bf16. "
            "Choose a base of another family, or a card of compute capability 8.0 or more."
        )
    return None


def _why_not(recipe: Recipe, gpu: Gpu, parts: list[MemoryPart], nearest: Recipe | None, without_chat: bool) -> str:
    total = sum(part.bytes for part in parts)
    largest = max(parts, key=lambda part: part.bytes)
    sentences = [
        f"It does not fit: {_gib(total)} are needed at the peak, and {gpu.name} has {_gib(gpu.usable)}. "
        f"The largest part is {largest.name.lower()} with {_gib(largest.bytes)}."
    ]
    if nearest:
        sentences.append(f"Nearest that fits: {', '.join(describe_changes(recipe, nearest))}.")
    if without_chat:
        sentences.append(
            "As it is it would fit if the chat were stopped meanwhile: the studio does so, and brings it back."
        )
    if not nearest and not without_chat:
        sentences.append("No setting makes it fit: choose a smaller base or a larger card.")
    return " ".join(sentences)


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB // 10 else f"{count / (1 << 20):.1f} MiB"

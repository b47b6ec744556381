"""The plan of one run: does it fit beside the chat, what would, and how long will it take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.common.home import Home
from core.models.device import OVERFLOWS_FP16
from core.planner.advice import changed, nearest_that_fits
from core.planner.gpus import FLASH_CAPABILITY, Card
from core.planner.memory_parts import CHAT, Chat, Part, chat_parts, training_parts
from core.planner.model_shape import Shape, read_shape
from core.planner.serving_limits import NOT_SERVED, NOT_SERVED_MEANT, Served, starting_point
from core.planner.time import Estimate, Schedule, estimate, schedule
from core.recipes.recipe import Recipe
from core.recipes.warmup import about_warmup

GIB = 1 << 30


@dataclass(frozen=True)
class Plan:
    """Bytes and seconds. `parts` add up to `total`, the most that is in use at one moment.

    unserved: why what comes of it cannot be chatted with here; None where it can, or nobody knows, as `unknown` says.
    nearest: the smallest change of the recipe that fits and is served; None when the recipe itself is, or nothing does.
    without_chat: it would fit if the chat were stopped meanwhile, as core.training.placement then has it.
    eta_seconds ± eta_uncertainty: None without the dataset's lengths or without a measured speed; `time` says why.
    """

    recipe: Recipe
    card: Card
    shape: Shape
    parts: list[Part]
    fits: bool
    reason: str
    unserved: str | None = None
    unknown: str | None = None
    nearest: Recipe | None = None
    without_chat: bool = False
    schedule: Schedule | None = None
    time: Estimate | None = None

    @property
    def total(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def about_warmup(self) -> str:
        """A sentence where the run ends before its learning rate has risen, else ""."""
        return about_warmup(self.recipe, self.schedule.steps) if self.schedule else ""

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
            return self.unknown or ""
        return " ".join([NOT_SERVED, self.unserved, *([NOT_SERVED_MEANT] if self.recipe.allow_unserved else [])])

    @property
    def eta_seconds(self) -> float | None:
        return self.time.seconds if self.time else None

    @property
    def eta_uncertainty(self) -> float | None:
        return self.time.uncertainty if self.time else None


def plan(
    recipe: Recipe,
    card: Card,
    *,
    dataset_lengths: list[int] | None = None,
    home: Home | None = None,
    chat: Chat | None = Chat(),  # noqa: B008  (frozen)
    shape: Shape | None = None,
    served: Served | None = None,
) -> Plan:
    """Plan a run on `card`, with `chat` beside it (None: none) and for an engine as `served` says (None: for none).

    dataset_lengths: tokens of each conversation, before anything is cut or held out. home: where earlier runs are
    looked up for their speed, and the adapter that the run begins from. shape: the base's, where it has been read
    before. Raises UserError when the base's config can't be had or is of an architecture that is not known, or when
    lora_target_modules can't be trained.
    """
    shape = shape or read_shape(recipe.model_name_or_path)

    longest = max(dataset_lengths) if dataset_lengths else None
    begins_from = starting_point(recipe, home) if home else None

    def parts_of(candidate: Recipe) -> list[Part]:
        if begins_from is not None:  # whose rank is kept
            candidate = replace(candidate, lora_r=begins_from.max_rank)
        beside = chat_parts(candidate, shape, card, chat) if chat else []
        return training_parts(candidate, shape, card, longest) + beside

    def why_unserved(candidate: Recipe) -> str | None:
        targets = shape.chosen(candidate.lora_target_modules)
        return served.why_not(candidate, targets, begins_from) if served else None

    def good(candidate: Recipe) -> bool:
        if not candidate.allow_unserved and why_unserved(candidate):
            return False
        return sum(part.bytes for part in parts_of(candidate)) <= card.usable

    parts = parts_of(recipe)
    total = sum(part.bytes for part in parts)
    steps = schedule(recipe, dataset_lengths) if dataset_lengths else None
    told = Plan(
        recipe,
        card,
        shape,
        parts,
        fits=total <= card.usable,
        reason="",
        unserved=why_unserved(recipe),
        unknown=served.unknown(begins_from.max_rank if begins_from else recipe.lora_r) if served else None,
        schedule=steps,
        time=estimate(recipe, card, steps, home) if steps else None,
    )
    if problem := _impossible(shape, card):
        return replace(told, fits=False, reason=problem)
    nearest = nearest_that_fits(recipe, good, dataset_lengths) if told.refused else None
    if told.fits:
        left = card.usable - total
        reason = f"It fits: {_gib(total)} of {_gib(card.usable)} at the peak, {_gib(left)} left."
        return replace(told, reason=reason, nearest=nearest)
    alone = sum(part.bytes for part in parts if part.owner != CHAT)
    without_chat = chat is not None and alone <= card.usable
    reason = _why_not(recipe, card, parts, nearest, without_chat)
    return replace(told, reason=reason, nearest=nearest, without_chat=without_chat)


def _impossible(shape: Shape, card: Card) -> str | None:
    if card.capability and card.capability < FLASH_CAPABILITY and shape.model_type in OVERFLOWS_FP16:
        return (
            f"It cannot be trained on a {card.name}: {shape.model_type} overflows in fp16, and this card has no bf16. "
            "Choose a base of another family, or a card of compute capability 8.0 or more."
        )
    return None


def _why_not(recipe: Recipe, card: Card, parts: list[Part], nearest: Recipe | None, without_chat: bool) -> str:
    total = sum(part.bytes for part in parts)
    largest = max(parts, key=lambda part: part.bytes)
    sentences = [
        f"It does not fit: {_gib(total)} are needed at the peak, and {card.name} has {_gib(card.usable)}. "
        f"The largest part is {largest.name.lower()} with {_gib(largest.bytes)}."
    ]
    if nearest:
        sentences.append(f"Nearest that fits: {', '.join(changed(recipe, nearest))}.")
    if without_chat:
        sentences.append(
            "As it is it would fit if the chat were stopped meanwhile: the studio does so, and brings it back."
        )
    if not nearest and not without_chat:
        sentences.append("No setting makes it fit: choose a smaller base or a larger card.")
    return " ".join(sentences)


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB // 10 else f"{count / (1 << 20):.1f} MiB"

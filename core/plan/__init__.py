"""What a run will take before anything is loaded: memory part by part, whether it fits, what would, and how long.

    planned = plan(recipe, Card.find("t4"), dataset_lengths=lengths, home=home)
    planned.fits, planned.reason, planned.total, planned.parts, planned.nearest, planned.eta_seconds

Everything comes from the base's config.json. Importing this loads neither torch nor transformers.
"""

from core.plan.advice import changed
from core.plan.cards import CATALOGUE, Card
from core.plan.parts import CHAT, TRAINING, Chat, Part
from core.plan.planning import Plan, plan
from core.plan.serving import NOT_SERVED, NOT_SERVED_REMEDY, Served
from core.plan.shapes import FAMILIES, Shape, read_shape
from core.plan.teaching import Bar, compare
from core.plan.time import Schedule, most_steps, packed_rows, schedule

__all__ = [
    "CATALOGUE",
    "CHAT",
    "FAMILIES",
    "NOT_SERVED",
    "NOT_SERVED_REMEDY",
    "TRAINING",
    "Bar",
    "Card",
    "Chat",
    "Part",
    "Plan",
    "Schedule",
    "Served",
    "Shape",
    "changed",
    "compare",
    "most_steps",
    "packed_rows",
    "plan",
    "read_shape",
    "schedule",
]

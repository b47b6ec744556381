"""What a run will take before anything is loaded: memory part by part, whether it fits, what would, and how long.

    planned = plan(recipe, Card.find("t4"), dataset_lengths=lengths, home=home)
    planned.fits, planned.reason, planned.total, planned.parts, planned.nearest, planned.eta_seconds

Everything comes from the base's config.json. Importing this loads neither torch nor transformers.
"""

from core.planner.advice import changed
from core.planner.comparison import Bar, compare
from core.planner.gpus import CATALOGUE, Card
from core.planner.memory_parts import CHAT, TRAINING, Chat, Part
from core.planner.model_shape import FAMILIES, Shape, read_shape
from core.planner.plan import Plan, plan
from core.planner.serving_limits import NOT_SERVED, NOT_SERVED_REMEDY, Served
from core.planner.time import Schedule, most_steps, packed_rows, schedule

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

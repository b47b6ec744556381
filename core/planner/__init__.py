"""What a run will take before anything is loaded: memory part by part, whether it fits, what would, and how long.

    planned = plan(recipe, Card.find("t4"), dataset_lengths=lengths, home=home)
    planned.fits, planned.reason, planned.total, planned.parts, planned.nearest, planned.eta_seconds

Everything comes from the base's config.json. Importing this loads neither torch nor transformers.
"""

from core.planner.advice import describe_changes
from core.planner.chat_parts import Chat
from core.planner.comparison import TrainingMethod, compare_methods
from core.planner.gpus import CATALOGUE, Gpu
from core.planner.memory_parts import CHAT, TRAINING, MemoryPart
from core.planner.model_shape import FAMILIES, ModelShape, read_shape
from core.planner.plan import Plan, plan_run
from core.planner.serving_limits import NOT_SERVED, NOT_SERVED_REMEDY, ServingLimits
from core.planner.time import Schedule, count_most_steps, count_packed_rows, make_schedule

__all__ = [
    "CATALOGUE",
    "CHAT",
    "FAMILIES",
    "NOT_SERVED",
    "NOT_SERVED_REMEDY",
    "TRAINING",
    "Chat",
    "Gpu",
    "MemoryPart",
    "ModelShape",
    "Plan",
    "Schedule",
    "ServingLimits",
    "TrainingMethod",
    "compare_methods",
    "count_most_steps",
    "count_packed_rows",
    "describe_changes",
    "make_schedule",
    "plan_run",
    "read_shape",
]

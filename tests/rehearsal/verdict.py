"""What is wrong with a report, in words; an empty list where nothing is.

A person on a card would see most of this as an exception in the middle of a run, or only as slowness.
"""

from __future__ import annotations

from typing import Any

from tests.rehearsal.engine_scenes import GREEDY, SCENES, STEPS

T4 = "t4"
# Waits of a micro-step: the loss is looked at (1), the tokens are counted (1), transformers asks whether there is
# padding, or several conversations in a row (1); TRL picks the trained positions (3) and counts for its log (5).
MICRO_STEP_WAITS = 11
BATCH_UPLOADS = 3  # input_ids, attention_mask, labels; position_ids in the place of the mask where rows are packed


def problems_of_engine(report: dict[str, Any]) -> list[str]:
    if "raised" in report:
        return [report["raised"]]
    problems = _wrong_dtypes(report)
    if report["not_recorded"] or not report["replays"]:
        problems.append(f"no decode step was replayed: {report['not_recorded']}")
    for scene in report["scenes"]:
        problems += [f"{scene['name']}: {problem}" for problem in _problems_of_scene(scene)]
    return problems


def _problems_of_scene(scene: dict[str, Any]) -> list[str]:
    problems = [f"a completion failed: {error}" for error in scene["failed"]]
    problems += scene["repeated"]
    wanted = SCENES.get(scene["name"], GREEDY)
    recording = sum(count for place, count in scene["decode"]["waits"].items() if "cuda_graphs.py" in place)
    waits, uploads = sum(scene["decode"]["waits"].values()) - recording, sum(scene["decode"]["uploads"].values())
    if waits != STEPS * wanted.waits or scene["decode"]["downloads"]:
        problems.append(f"{waits / STEPS:g} waits per step, not {wanted.waits}: {scene['decode']['waits']}")
    if uploads != STEPS * wanted.uploads:
        problems.append(f"{uploads / STEPS:g} copies to the card per step, not {wanted.uploads}: {scene['decode']}")
    return problems


def problems_of_training(report: dict[str, Any]) -> list[str]:
    if "raised" in report:
        return [report["raised"]]
    problems = _wrong_dtypes(report)
    if report["trained"] != ["float32"]:
        problems.append(f"the adapter's weights are {report['trained']}")
    is_scaled = any(place.startswith("GradScaler") for place in report["step"]["waits"])
    if is_scaled != (report["case"]["card"] == T4):
        problems.append("gradients of fp16 are scaled, and no others; here that is not so")
    recipe, micro_step = report["case"]["recipe"], report["micro_step"]
    is_packed = recipe.get("packing", False)
    is_padded = recipe.get("per_device_train_batch_size", 1) > 1 and not is_packed
    waits, uploads = sum(micro_step["waits"].values()), sum(micro_step["uploads"].values())
    if waits != MICRO_STEP_WAITS + is_padded:  # where there is padding transformers asks twice
        problems.append(f"{waits} waits in a micro-step: {micro_step['waits']}")
    if uploads != is_packed or micro_step["downloads"]:  # of packed rows TRL copies how many tokens they are
        problems.append(f"a micro-step copies: {micro_step}")
    if sum(report["between"]["uploads"].values()) != BATCH_UPLOADS:
        problems.append(f"a batch is not copied as one: {report['between']['uploads']}")
    return problems


def _wrong_dtypes(report: dict[str, Any]) -> list[str]:
    used, other = ("float16", "bfloat16") if report["case"]["card"] == T4 else ("bfloat16", "float16")
    if used in report["dtypes"] and other not in report["dtypes"]:
        return []
    return [f"calculated in {', '.join(report['dtypes'])} where it should be {used}"]

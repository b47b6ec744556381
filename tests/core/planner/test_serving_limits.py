"""A recipe is judged by what the engine serves before anything is trained, in the engine's own words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.common.errors import UserError
from adapters.compat import inspect, why_not_slots
from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from core.common.home import Home
from core.common.process import Identity
from core.models.base import BUILTIN_ID, resolve
from core.planner import Chat, Gpu, Plan, ServingLimits, describe_changes, plan_run
from core.planner.memory_parts import MemoryPart
from core.planner.serving_limits import find_init_adapter
from core.recipes.recipe import Recipe
from core.serving.settings import EngineSettings, save_settings, settings_in_force
from core.training.events import Note
from core.training.preflight import check_run, length_warnings
from core.training.run import Run, create_run
from studio.__main__ import main
from studio.web.lock import WebLock
from tests.core.serving import tiny

L4 = Gpu.find("l4")


def recipe(**settings: Any) -> Recipe:
    return Recipe.from_dict({"dataset_name": "pirate"} | settings)


def planned(home: Home | None = None, limits: ServingLimits = ServingLimits(), **settings: Any) -> Plan:  # noqa: B008
    return plan_run(recipe(**settings), L4, home=home, limits=limits)


def test_a_rank_that_fits_the_card_but_not_the_engine_is_told_and_the_nearest_recipe_is_served() -> None:
    told = planned(lora_r=128, lora_alpha=256)
    assert told.fits and told.refused
    assert "Its rank is 128; the engine's slots hold up to 64." in told.about_serving
    assert told.nearest is not None
    assert describe_changes(told.recipe, told.nearest) == ["lora_r 64 instead of 128", "lora_alpha 128 instead of 256"]
    assert not planned(lora_r=64).refused and planned(lora_r=64).about_serving == ""
    assert not planned(limits=ServingLimits(128), lora_r=128).refused


def test_who_means_it_may_train_what_cannot_be_chatted_with_here() -> None:
    told = planned(lora_r=128, allow_unserved=True)
    assert not told.refused and told.nearest is None
    assert "trained all the same" in told.about_serving


@pytest.mark.parametrize("lora", [{"r": 128}, {"target_modules": ["embed_tokens", "q_proj"]}])
def test_the_plan_says_of_a_recipe_what_the_engine_says_of_the_adapter(tmp_path: Path, lora: dict[str, Any]) -> None:
    made = inspect(tiny.adapter(tmp_path / "made", tiny.model(), **lora))
    said = why_not_slots(made, 64)
    settings = {"lora_r": lora.get("r", 8), "lora_target_modules": lora.get("target_modules", "all-linear")}
    reason = planned(**settings).unserved
    assert said and reason
    assert reason.split(", such as")[0] == said.split(", such as")[0]


def test_an_engine_on_another_server_is_not_judged_but_told_to_be_unknown() -> None:
    told = planned(limits=ServingLimits(None), lora_r=128, lora_target_modules=["embed_tokens", "q_proj"])
    assert not told.refused
    assert "does not tell" in told.about_serving and "--max-lora-rank" in told.about_serving
    assert planned(limits=ServingLimits(None), lora_r=16).about_serving == ""


def test_what_the_engine_serves_is_known_from_the_home(home: Home) -> None:
    assert ServingLimits.of_home(home) == ServingLimits(64)
    save_settings(home, {"max_rank": 128})
    assert ServingLimits.of_home(home) == ServingLimits(128)
    own = Identity.own()
    record = {"pid": own.pid, "started": own.started, "settings": {"max_rank": 32, "slots": 2}}
    engine = home.processes / "engine.json"
    engine.write_text(json.dumps(record))
    assert ServingLimits.of_home(home) == ServingLimits(32), "the engine that lives goes before what is saved"
    assert settings_in_force(home).slots == 2
    for damaged in ("", "[]", json.dumps(record | {"settings": 3}), json.dumps({"pid": 1}), "\0"):
        engine.write_text(damaged)
        assert ServingLimits.of_home(home) == ServingLimits(128)
    WebLock(home).acquire("http://127.0.0.1:1", foreign_engine=True)
    assert ServingLimits.of_home(home) == ServingLimits(None)
    WebLock(home).acquire("http://127.0.0.1:1")
    assert ServingLimits.of_home(home) == ServingLimits(128)


def test_what_begins_from_an_adapter_is_judged_and_planned_by_that_ones_rank(home: Home, tmp_path: Path) -> None:
    large = tiny.adapter(tmp_path / "large", tiny.model(), r=128, base_id=BUILTIN_ID)
    AdapterStore(home.adapters).add("large", large, AdapterRecord(name="large", base_model=BUILTIN_ID))
    told = planned(home, init_adapter="large", lora_r=8)
    assert told.unserved == "Its rank is 128; the engine's slots hold up to 64."

    def adapter(of: Plan) -> MemoryPart:
        return next(part for part in of.parts if part.name == "Adapter")

    assert adapter(told).bytes == adapter(planned(lora_r=128)).bytes > adapter(planned(lora_r=8)).bytes
    with pytest.raises(UserError, match="nobody"):
        planned(home, init_adapter="nobody")


def test_the_chat_beside_a_run_is_planned_as_the_engine_is_set() -> None:
    settings = EngineSettings(slots=4, kv_tokens=8192, prefill_chunk=64)
    parts = {part.name: part for part in plan_run(recipe(), L4, chat=Chat(settings)).parts}
    assert "Up to 4 adapters" in parts["Chat: adapter slots"].explanation
    assert "up to 8,192 tokens" in parts["Chat: keys and values"].explanation


def judged(run: Run) -> list[str]:
    check_run(run, resolve("builtin"), find_init_adapter(run.recipe, run.home))
    return [event.text for event in run.events()[0] if isinstance(event, Note)]


def test_a_worker_refuses_before_it_loads_the_base_and_notes_what_is_meant(home: Home) -> None:
    assert judged(create_run(home, recipe())) == []
    for settings in ({"lora_r": 128}, {"lora_target_modules": ["embed_tokens", "q_proj"]}):
        with pytest.raises(UserError, match="not chatted with here") as raised:
            judged(create_run(home, recipe(**settings)))
        assert "allow_unserved" in raised.value.remedy
        (note,) = judged(create_run(home, recipe(**settings, allow_unserved=True)))
        assert "trained all the same" in note
    WebLock(home).acquire("http://127.0.0.1:1", foreign_engine=True)
    (note,) = judged(create_run(home, recipe(lora_r=128)))
    assert "does not tell" in note


def test_conversations_that_no_chat_can_hold_are_noted(home: Home) -> None:
    builtin = resolve("builtin")
    assert length_warnings(builtin, home, 1024) == []
    (note,) = length_warnings(builtin, home, 1025)
    assert "was made for 1,024" in note
    save_settings(home, {"max_length": 256})
    assert length_warnings(builtin, home, 256) == []
    (note,) = length_warnings(builtin, home, 257)
    assert "the engine is set to hold 256" in note


def test_commands_say_it_before_anything_starts(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(lora_r=128, max_samples=4).to_yaml())
    assert main(["train", str(path), "--home", str(home.root)]) == 2
    assert "the engine's slots hold up to 64" in capsys.readouterr().err
    assert not list(home.runs.iterdir())
    asked = ["plan", str(path), "--home", str(home.root), "--gpu", "l4", "--json"]
    assert main(asked) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["fits"], told["served"], told["nearest"]["lora_r"]) == (True, False, 64)
    assert "slots hold up to 64" in told["about_serving"]
    assert main(asked[:-1]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "slots hold up to 64" in printed
    assert "allow_unserved" in printed
    path.write_text(replace(recipe(lora_r=128, max_samples=4), allow_unserved=True).to_yaml())
    assert main(asked) == 0

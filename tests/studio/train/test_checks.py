"""Whether a run fits this machine, with the chat or without it."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from core.planner import CHAT, Gpu, plan_run
from core.recipes.recipe import Recipe
from studio.context import Studio
from studio.train.checks import check_fits

TOO_MUCH = {"max_length": 1 << 20, "per_device_train_batch_size": 1024, "packing": True}


def test_start_goes_by_the_same_lengths_as_the_plan_beside_it(quiet_studio: Studio) -> None:
    """Where the conversations have been counted and are short, a large max_length costs nothing."""
    unpacked = Recipe.from_dict({"dataset_name": "pirate", **TOO_MUCH, "packing": False})
    check_fits(quiet_studio, unpacked, [40] * 100)
    with pytest.raises(UserError, match="does not fit"):
        check_fits(quiet_studio, unpacked, None)


def test_a_run_that_fits_without_the_chat_starts_where_the_chat_can_be_suspended(
    quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate"})
    parts = plan_run(recipe, Gpu("tiny", 1, 1, None, here=True)).parts
    alone = sum(part.bytes for part in parts if part.owner != CHAT)
    monkeypatch.setattr("studio.train.checks.find_gpu", lambda: Gpu("small", alone, alone, None, here=True))
    assert not check_fits(quiet_studio, recipe, None, may_suspend_chat=True)
    with pytest.raises(UserError, match="if the chat were stopped"):
        check_fits(quiet_studio, recipe, None)
    monkeypatch.setattr("studio.train.checks.find_gpu", lambda: Gpu("smaller", alone, alone - 1, None, here=True))
    with pytest.raises(UserError, match="It does not fit"):
        check_fits(quiet_studio, recipe, None, may_suspend_chat=True)

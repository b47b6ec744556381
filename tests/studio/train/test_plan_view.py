"""The plan as the page draws it: what people read must be what was planned."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from core.planner import Chat, Gpu, Plan, compare_methods, plan_run
from core.planner.memory_parts import TRAINING
from core.planner.model_shape import shape_of
from core.recipes.recipe import Recipe
from studio.train.plan_view import COLOURS, render_comparison, render_plan
from tests.core.planner.configs import LLAMA_2_7B

T4 = Gpu.find("t4")


def planned(name: str = "base", **settings: Any) -> Plan:
    given = {"model_name_or_path": "base", "dataset_name": "data"} | settings
    shape = shape_of(LLAMA_2_7B, name)
    return plan_run(Recipe.from_dict(given), T4, shape=shape, dataset_lengths=[4000] * 10, chat=Chat())


def widths(html: str) -> list[float]:
    return [float(percent) for percent in re.findall(r'<i title=[^>]*style="width:([\d.]+)%', html)]


def marks(html: str) -> list[float]:
    return [float(percent) for percent in re.findall(r"left:([\d.]+)%", html)]


def test_a_plan_that_fits() -> None:
    html, lesson = render_plan(planned()).split("Why not train all weights?")
    assert 'data-fits="true"' in html
    assert "It fits" in html
    assert sum(widths(html)) < marks(html)[0] == 100
    assert "Optimiser states" in html
    assert "<b>Steps</b> 2" in html
    assert "<b>Ways to train base</b>" in lesson
    assert "28.0 + 28.0 + 56.0 = 112.0 GB" in lesson
    assert 'data-look="calibrate"' not in html, "a T4 is not here"


LARGE_ADAPTER = {"lora_r": 256, "optim": "adamw_torch", "gradient_checkpointing": True, "max_length": 512}


def test_whatever_a_plan_names_has_a_colour_of_its_own() -> None:
    """A roomy CPU, which writes the base out and keeps activations, and a GPU, with and without packed weights."""
    roomy = Gpu("a CPU", 1 << 42, 1 << 42, None, here=True)
    shape = shape_of(LLAMA_2_7B, "base")
    for gpu in (roomy, T4):
        for settings in ({}, {"load_in_4bit": False}, {"gradient_checkpointing": False}, LARGE_ADAPTER):
            given = {"model_name_or_path": "base", "dataset_name": "data"} | settings
            plan = plan_run(Recipe.from_dict(given), gpu, shape=shape, dataset_lengths=[400] * 10, chat=Chat())
            names = {part.name for part in plan.parts if part.owner == TRAINING}
            assert len({COLOURS[name] for name in names}) == len(names)
            if gpu is T4 and settings is LARGE_ADAPTER:
                assert names >= {"Adapter in 16 bit", "Optimiser's step"}
            assert "Base written out" in names or gpu is T4 or settings.get("load_in_4bit") is False
            render_plan(plan)


def test_a_plan_before_the_tokens_are_counted_says_what_comes() -> None:
    of = replace(planned(), schedule=None, time=None)
    assert "once the tokens are counted" in render_plan(of, counting=True)
    assert "once the tokens are counted" not in render_plan(of)


def test_a_plan_that_does_not_fit_shows_what_would() -> None:
    html = render_plan(planned(gradient_checkpointing=False, max_length=2048)).split("Why not train all weights?")[0]
    assert 'data-look="nearest"' in html
    assert 'data-fits="false"' in html
    assert sum(widths(html)) == pytest.approx(100, abs=0.1)
    assert marks(html)[0] < 100
    assert "<code>gradient_checkpointing true instead of false</code>" in html


def test_names_are_escaped() -> None:
    of = planned()
    card = Gpu("<b>card</b>", T4.nominal, T4.usable, T4.capability)
    html = render_plan(Plan(of.recipe, card, of.shape, of.parts, True, "<script>"))
    assert "<script>" not in html
    assert "<b>card</b>" not in html
    assert "<i>base</i>" not in render_comparison(compare_methods("7B", card), card, "<i>base</i>")


def test_the_lecture_bars() -> None:
    html = render_comparison(compare_methods("7B", T4), T4, "7 B parameters")
    assert "28.0 + 28.0 + 56.0 = 112.0 GB" in html
    assert "14.0 + 14.0 + 28.0 = 56.0 GB" in html
    assert "7.0 + 7.0 + 14.0 = 28.0 GB" in html
    assert html.count('role="img"') == 5
    assert html.count('data-fits="true"') == 2
    assert len(set(marks(html))) == 1


def test_a_tiny_base_is_compared_in_megabytes() -> None:
    html = render_comparison(compare_methods("builtin", T4), T4, "builtin")
    assert ", in MB (1,000,000 bytes)" in html
    assert "0.0 + 0.0" not in html

"""Settings of the engine on the page: what is in force and why, changed by the owner, kept in the home."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.serving.settings import SETTINGS, save_settings, saved_settings
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.settings.engine_settings import apply_settings, build_field, in_force_table, show_settings
from tests.studio.conftest import request_of


def studio_with(home: Home, url: str | None = None, **given: Any) -> Studio:
    return Studio.over(home, "builtin", EngineSupervisor(home, "builtin", url, given))


def values(**changed: Any) -> list[Any]:
    """What the fields hold: nothing where it is left to the engine."""
    return [changed.get(name, setting.default) for name, setting in SETTINGS.items()]


def test_what_the_owner_sets_is_kept_and_in_force(home: Home) -> None:
    studio = studio_with(home)
    shown = apply_settings(studio, *values(max_rank=128, weights="packed", threads=2.0, kv_tokens=""))
    assert saved_settings(home) == {"max_rank": 128, "weights": "packed", "threads": 2}
    assert studio.engine.settings.max_rank == 128
    assert "<td>max_rank</td><td>128</td><td>set here</td>" in shown
    assert "<td>slots</td><td>8</td><td>the default</td>" in shown
    apply_settings(studio, *values())
    assert saved_settings(home) == {}, "what is as by default is not kept"


def test_wrong_ones_are_told_and_change_nothing(home: Home) -> None:
    studio = studio_with(home)
    for wrong, words in (({"slots": 0}, "slots is 0"), ({"max_rank": 8.5}, "max_rank is 8.5"), ({"slots": ""}, None)):
        if words is None:
            apply_settings(studio, *values(**wrong))  # an emptied field has its default
            continue
        with pytest.raises(UserError, match=words):
            apply_settings(studio, *values(**wrong))
    assert saved_settings(home) == {}
    assert studio.engine.settings.to_dict() == {}


def test_what_the_command_line_decides_cannot_be_changed_on_the_page_and_stays_saved(home: Home) -> None:
    earlier = studio_with(home)
    apply_settings(earlier, *values(slots=5))
    studio = studio_with(home, slots=3)
    assert not build_field(studio, "slots").interactive
    assert build_field(studio, "max_rank").interactive
    apply_settings(studio, *values(slots=3, max_rank=16))
    assert saved_settings(home) == {"slots": 5, "max_rank": 16}
    assert (studio.engine.settings.slots, studio.engine.settings.max_rank) == (3, 16)
    assert "<td>slots</td><td>3</td><td>decided at the start, by --slots</td>" in in_force_table(studio)


def test_a_foreign_engine_is_not_set_here(home: Home) -> None:
    studio = studio_with(home, "http://127.0.0.1:9")
    assert "Another server is the engine" in in_force_table(studio)
    assert not any(build_field(studio, name).interactive for name in SETTINGS)
    with pytest.raises(UserError, match="another server"):
        apply_settings(studio, *values(slots=3))


def test_only_the_owner_is_shown_what_is_in_force(home: Home) -> None:
    shown = show_settings(studio_with(home), request_of(LOCAL_OWNER))
    assert "<td>max_rank</td><td>64</td>" in shown[0]
    assert dict(zip(SETTINGS, shown[1:], strict=True))["max_rank"] == 64
    for name, value in zip(SETTINGS, shown[1:], strict=True):
        build_field(studio_with(home), name).postprocess(value)  # as the page then takes it
    visitor = User(Role.VISITOR, "eve", "eve")
    assert all(update == gr.skip() for update in show_settings(studio_with(home), request_of(visitor)))


def test_the_reason_that_the_engine_gives_is_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = studio_with(home, kv_tokens=128)
    told = {"context": {"value": "512", "reason": "what the base was made for"}}
    monkeypatch.setattr(type(studio.client), "choices", lambda client: told)
    assert "<td>max_length</td><td>512</td><td>what the base was made for</td>" in in_force_table(studio)


def test_settings_that_come_back_with_a_home_that_is_kept_elsewhere_count_from_the_start(home: Home) -> None:
    engine = EngineSupervisor(home, "builtin", "http://127.0.0.1:9")  # one that is never started, for the test's sake
    save_settings(home, {"slots": 3})  # and here the home is brought back
    engine.start()
    try:
        assert engine.settings.slots == 3
    finally:
        engine.stop()

"""Limits of messages: per person, in total, and by weight."""

from __future__ import annotations

import gradio as gr

from core.common.home import Home
from studio.auth.identity import Role
from studio.auth.keys import Keys
from studio.auth.limits import RateLimits
from studio.auth.permissions import EVENT_PATHS
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import LET_IN, GuardedApp, event, space_settings


def test_limits_hold_per_person_and_in_total_and_pass_with_time() -> None:
    now = 0.0
    limits = RateLimits(2, 3, lambda: now)
    assert [limits.count("a"), limits.count("a"), limits.count("a")] == [0, 0, 60]
    assert [limits.count("b"), limits.count("c")] == [0, 60]
    now = 45.0
    assert limits.count("a") == 15
    now = 60.0
    assert limits.count("a") == 0


def test_what_is_large_counts_as_several() -> None:
    now = 0.0
    limits = RateLimits(4, 100, lambda: now)
    assert [limits.count("a"), limits.count("a", 5)] == [0, 0], "while there is room it is let in whole"
    now = 30.0
    assert limits.count("a") == 30, "six counted, and room again when all but three are gone"
    now = 60.0
    assert limits.count("a") == 0


def test_visitors_are_limited_and_the_owner_is_not(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> None:
    guarded = GuardedApp(space_settings(provider.url, messages_per_minute=(1, 2)), page, Keys(home))
    send = event(page, "chat.handlers.send_message")
    first, second = guarded.client(**{"x-forwarded-for": "1.1.1.1"}), guarded.client(**{"x-forwarded-for": "2.2.2.2"})
    assert first.post(EVENT_PATHS[0], json=send).status_code == LET_IN
    again = first.post("/v1/chat/completions", json={})
    assert again.status_code == 429
    assert int(again.headers["retry-after"]) > 0
    assert second.post("/v1/completions", json={}).status_code == LET_IN
    assert guarded.client(**{"x-forwarded-for": "3.3.3.3"}).post(EVENT_PATHS[1], json=send).status_code == 429
    owner = guarded.client(Role.OWNER)
    assert {owner.post(EVENT_PATHS[0], json=send).status_code for _ in range(4)} == {LET_IN}

"""Newer versions upstream."""

from __future__ import annotations

from dataclasses import replace

from adapters.record import HubRef
from studio.adapters_page.updates import Updates
from studio.adapters_page.view import render_updates
from studio.context import Studio
from tests.hub_server.fixtures import Hub
from tests.studio.adapters_page.conftest import plain_files


def test_newer_versions_are_noticed_once_an_hour_and_not_applied(hub: Hub, studio: Studio) -> None:
    folder = studio.store.path("mine")
    first = hub.make_repo("ada/x", plain_files(folder))
    record = replace(studio.store.get("mine"), hub=HubRef("ada/x", first))
    studio.store.update(record)
    updates = Updates(studio.store)
    assert [update.newer for update in updates.check()] == [None]
    second = hub.make_repo("ada/x", {"README.md": b"newer"})
    asked = len(hub.requests)
    assert [update.newer for update in updates.check()] == [None]
    assert len(hub.requests) == asked
    assert [update.newer for update in updates.check(now=True)] == [second]
    assert second[:10] in render_updates(updates.check())
    assert studio.store.get("mine").hub == HubRef("ada/x", first)
    hub.go_offline()
    (news,) = updates.check(now=True)
    assert "offline" in news.error
    assert "offline" in render_updates([news])

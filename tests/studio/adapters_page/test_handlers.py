"""The chosen adapter is shown and saved."""

from __future__ import annotations

import pytest

from adapters.common.errors import UserError
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.handlers import save_adapter, show_adapter
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from tests.studio.adapters_page.conftest import BOB
from tests.studio.conftest import request_of


def test_rename_note_and_tags(studio: Studio, failures: AdapterFailures) -> None:
    chosen = save_adapter(studio, failures, "mine", "yours", "sea, #english, sea", " Talks well ")
    assert chosen.value == "yours"
    record = studio.store.get("yours")
    assert (record.tags, record.note) == (["sea", "english"], "Talks well")
    nothing, panel, *filled = show_adapter(studio, request_of(LOCAL_OWNER), "yours")
    assert (nothing.visible, panel.visible) == (False, True)
    assert filled == ["yours", "sea, english", "Talks well", ""]
    nothing, panel, *_ = show_adapter(studio, request_of(LOCAL_OWNER), None)
    assert (nothing.visible, panel.visible) == (True, False)
    with pytest.raises(UserError, match="not published"):
        show_adapter(studio, request_of(BOB), "yours")

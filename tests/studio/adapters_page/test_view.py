"""Adapters as cards: what they say to whom."""

from __future__ import annotations

from dataclasses import replace

from adapters.record import AdapterRecord, DatasetRef, HubRef
from studio.adapters_page.view import AdapterStatus, render_card, render_cards
from studio.auth.identity import Role
from studio.context import Studio


def test_a_card_says_what_it_is_and_where(studio: Studio) -> None:
    record = replace(
        studio.store.get("mine"),
        steps=80,
        eval_loss=0.5,
        dataset=DatasetRef("pirate", "bundled"),
        hub=HubRef("ada/mine", "c0ffee" * 6),
        tags=["sea"],
        note="Arr",
    )
    shown = render_card(AdapterStatus(record, "slot"), Role.OWNER)
    for fact in ("mine", "guanaco-builtin", "pirate", "80", "0.500", "4, alpha 8", "in a slot", "on the Hub", "#sea"):
        assert fact in shown
    assert "Arr" in shown
    assert "on disk" in render_card(AdapterStatus(record), Role.OWNER)


def test_everyone_gets_the_buttons_that_they_may_use(studio: Studio) -> None:
    record = studio.store.get("mine")
    visitor, user, owner = (render_card(AdapterStatus(record), role) for role in (Role.VISITOR, Role.USER, Role.OWNER))
    assert "Compare" in visitor
    assert "Zip" not in visitor
    assert ".zip" in user
    assert "data-action" not in user
    assert 'data-action="continue"' in owner


def test_nothing_given_becomes_markup() -> None:
    evil = "<img src=x onerror=alert(1)>"
    record = AdapterRecord(evil, evil, note=evil, tags=[evil])
    shown = render_cards([AdapterStatus(record, evil, evil)], [(evil, evil)], Role.OWNER)
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_empty_states_say_what_to_do_next() -> None:
    assert "Train" in render_cards([], [], Role.OWNER)

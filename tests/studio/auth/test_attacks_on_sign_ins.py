"""Attacks on signing in, and by names and errors that would be markup."""

from __future__ import annotations

import time

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from studio.auth.identity import Role, User
from studio.auth.signin import PENDING_COOKIE, PendingSignIns
from studio.settings.access_view import render_greeting
from studio.ui.events import to_gradio_error
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import SPACE_HOST


@pytest.mark.slow
def test_signing_in_cannot_be_finished_in_another_browser(
    app: FastAPI, visitor: TestClient, provider: OpenIDProvider
) -> None:
    import httpx

    provider.profile = {"preferred_username": "mallory"}
    asked = visitor.get("/login/huggingface").headers["location"]
    back = httpx.get(asked, verify=False).headers["location"]
    victim = TestClient(app, f"https://{SPACE_HOST}", follow_redirects=False)
    assert victim.get(back).status_code == 400, "the victim would be signed in as the attacker"
    own = visitor.cookies[PENDING_COOKIE]
    victim.cookies.set(PENDING_COOKIE, own[:-1] + ("1" if own.endswith("0") else "0"))
    assert victim.get(back).status_code == 400
    assert visitor.get(back).status_code == 303
    assert visitor.get(back).status_code == 400, "a state is used only once"


@pytest.mark.slow
def test_no_number_of_sign_ins_pushes_out_one_that_is_under_way(
    app: FastAPI, visitor: TestClient, provider: OpenIDProvider
) -> None:
    """Nothing of it is kept, so nothing can be let go; and each address may begin few."""
    import httpx

    provider.profile = {"preferred_username": "bob"}
    back = httpx.get(visitor.get("/login/huggingface").headers["location"], verify=False).headers["location"]
    crowd = TestClient(app, f"https://{SPACE_HOST}", follow_redirects=False)
    crowd.headers["x-forwarded-for"] = "9.9.9.9"
    statuses = [crowd.get("/login/huggingface").status_code for _ in range(25)]
    assert statuses == [303] * 20 + [429] * 5
    assert visitor.get(back).status_code == 303


def test_a_sign_in_ends_after_ten_minutes_and_a_state_is_nothing_without_its_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sign_ins = PendingSignIns()
    state = sign_ins.begin()
    asked, made, signature = state.rsplit(".", 2)
    assert sign_ins.is_pending(state)
    others = (sign_ins.code_verifier(sign_ins.begin()), PendingSignIns().code_verifier(state))
    assert len({sign_ins.code_verifier(state), *others}) == 3
    for other in ("", ".", "..", asked, f"{asked}.{int(made) + 60}.{signature}", f"{asked}.{made}.", f"x{state}"):
        assert not sign_ins.is_pending(other)
    assert not PendingSignIns().is_pending(state), "of another start of the studio"
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    assert not sign_ins.is_pending(state)


@pytest.mark.parametrize(
    "query", ["", "?state=x", "?code=x", "?code=x&state=y", "?error=<script>alert(1)</script>&state=a"]
)
def test_a_made_up_callback_is_refused(visitor: TestClient, query: str) -> None:
    answer = visitor.get(f"/login/callback{query}")
    assert answer.status_code == 400
    assert "<script>" not in answer.text


def test_who_came_with_a_token_is_greeted_once() -> None:
    assert "You are the owner." in render_greeting(User(Role.OWNER, "owner", "owner"), sign_in=False)
    assert "You are <b>ada</b>, the owner." in render_greeting(User(Role.OWNER, "ada", "hub:ada"), sign_in=True)


def test_names_are_shown_as_text() -> None:
    shown = render_greeting(User(Role.USER, "<img src=x onerror=alert(1)>", "k"), sign_in=True)
    assert "<img" not in shown


def test_what_an_error_says_is_text() -> None:
    """It stands in a notice that draws HTML, and may hold names that came with a file or an adapter."""
    said = str(to_gradio_error(UserError("The adapter <b id='tick'>x</b> & co. does not fit.", "Choose another one.")))
    assert "<b" not in said
    assert "&lt;b id='tick'&gt;x&lt;/b&gt; &amp; co." in said

"""What a stranger sends to be taken for somebody else, or to keep the studio busy: the access middleware refuses it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import uvicorn
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.testclient import TestClient

from core.common.home import Home
from core.common.redaction import MaskingFormatter
from studio.app import build_app
from studio.auth.identity import Role, load_cookie_secret, token_cookie
from studio.auth.keys import Keys
from studio.auth.limits import RateLimits, client_address
from studio.auth.middleware import COOKIE, MAX_OTHERS_BODY_BYTES
from studio.auth.permissions import COUNTED, EVENT_PATHS, EVENTS
from studio.chat.conversation_stores import MAX_BROWSER_BYTES
from studio.context import Studio
from studio.web import request_bodies
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import LET_IN, OWNER_TOKEN, SPACE_HOST, USER_TOKEN, GuardedApp, event, space_settings


@pytest.fixture
def space(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> GuardedApp:
    return GuardedApp(space_settings(provider.url, messages_per_minute=(2, 5)), page, Keys(home))


# Files and addresses where there should be words


@pytest.mark.slow
@pytest.mark.parametrize("path", ["https://evil.example/a-terabyte.bin", "/etc/passwd", "http://169.254.169.254/"])
@pytest.mark.parametrize(
    "name",
    [
        "chat.handlers.send_message",
        "chat.handlers.cancel_edit",
        "chat.conversations_handlers.search_conversations",
        "page_handlers.refresh",
    ],
)
def test_who_may_not_upload_cannot_have_the_server_fetch_a_file(
    space: GuardedApp, page: gr.Blocks, name: str, path: str
) -> None:
    """Gradio downloads what such a dictionary names, in whatever field it comes, before it looks at the field."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for data in ([file], [[{"role": "user", "content": [{"file": file}]}]], [{"deep": [[{"in": file}]]}]):
        for where in EVENT_PATHS:
            answer = space.client(Role.USER).post(where, json=event(page, name, data))
            assert answer.status_code == 403
            assert "Only the owner" in answer.json()["detail"]
    assert space.client(Role.OWNER).post(EVENT_PATHS[0], json=event(page, name, [file])).status_code == LET_IN


def test_a_file_cannot_be_hidden_by_how_it_is_written(space: GuardedApp, page: gr.Blocks) -> None:
    index = event(page, "chat.handlers.cancel_edit")["fn_index"]
    body = rf'{{"fn_index": {index}, "data": [{{"path": "x", "meta": {{"\u005ftype":"gradio\u002eFileData"}}}}]}}'
    answer = space.client().post(EVENT_PATHS[0], content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 403


def test_words_about_files_are_words(space: GuardedApp, page: gr.Blocks) -> None:
    said = 'My JSON is {"path": "x", "meta": {"_type": "gradio.FileData"}}.'
    asked = event(page, "chat.conversations_handlers.search_conversations", ["", None, said])
    assert space.client().post(EVENT_PATHS[0], json=asked).status_code == LET_IN


# Being somebody else


def asked_from(forwarded: str, peer: str = "10.1.2.3", behind_proxy: bool = True) -> str:
    headers = Headers({"x-forwarded-for": forwarded} if forwarded else {})
    return client_address(Request({"type": "http", "headers": headers.raw, "client": (peer, 1)}), behind_proxy)


def test_strangers_are_counted_by_what_the_proxy_saw_not_by_what_they_say() -> None:
    assert asked_from("1.1.1.1") == "1.1.1.1"
    assert asked_from("9.9.9.9, 1.1.1.1") == "1.1.1.1", "what was made up stands before what the proxy adds"
    assert asked_from("9.9.9.9, 1.1.1.1, 10.0.0.7, 127.0.0.1") == "1.1.1.1", "proxies of the house come after it"
    assert asked_from("9.9.9.9, nonsense") == asked_from("") == asked_from("10.0.0.1") == "10.1.2.3"
    assert asked_from("1.1.1.1", behind_proxy=False) == "10.1.2.3", "without a proxy all of it is made up"


def test_one_household_has_one_network_of_ipv6() -> None:
    assert asked_from("2600:1:2:3::1") == asked_from("2600:1:2:3:ffff::9") != asked_from("2600:1:2:4::1")


def test_a_made_up_address_does_not_get_round_the_limit(space: GuardedApp, page: gr.Blocks) -> None:
    sent = event(page, "chat.handlers.send_message")
    statuses = [
        space.client(**{"x-forwarded-for": f"8.8.8.{i}, 1.1.1.1"}).post(EVENT_PATHS[0], json=sent).status_code
        for i in range(3)
    ]
    assert statuses == [LET_IN, LET_IN, 429]


def test_what_fills_the_disk_or_asks_the_hub_is_limited_too(space: GuardedApp, page: gr.Blocks) -> None:
    pull, push = "adapters_page.hub_handlers.pull_from_hub", "adapters_page.hub_handlers.push_to_hub"
    assert {"compare.voting.cast_vote", pull, push} <= COUNTED <= set(EVENTS)
    user = space.client(Role.USER)
    statuses = [user.post(EVENT_PATHS[0], json=event(page, pull)).status_code for _ in range(3)]
    assert statuses == [LET_IN, LET_IN, 429]


def test_users_of_one_token_are_counted_one_by_one(tokens: GuardedApp, page: gr.Blocks) -> None:
    tokens.access.limits = RateLimits(1, 100)
    for address, status in (("10.0.0.1", LET_IN), ("10.0.0.2", LET_IN), ("10.0.0.1", 429)):
        client = TestClient(tokens.access, "http://127.0.0.1:7860", client=(address, 1))
        client.headers["authorization"] = f"Bearer {USER_TOKEN}"
        assert client.post(EVENT_PATHS[0], json=event(page, "chat.handlers.send_message")).status_code == status


@pytest.mark.parametrize("host", ["x/v1/load_lora_adapter?", "x/v1/models#", "127.0.0.1/v1/", "a@b/v1/x?"])
def test_the_host_header_does_not_stand_in_for_the_path(tokens: GuardedApp, home: Home, host: str) -> None:
    client = tokens.client(authorization=f"Bearer {Keys(home).create('mine')}")
    assert client.get("/config", headers={"host": host}).status_code == 401, "a key is for /v1 only"
    assert client.post(EVENT_PATHS[0], json={}, headers={"host": host}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "null"}, 403),
        ({"origin": "null", "host": ""}, 403),
        ({"origin": "https://[evil"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "file://"}, 403),
        ({"origin": f"https://{SPACE_HOST}.evil.example"}, 403),
        ({"origin": f"https://evil.example/{SPACE_HOST}"}, 403),
        ({"origin": f"https://{SPACE_HOST}@evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, LET_IN),
        ({"origin": f"https://{SPACE_HOST}"}, LET_IN),
    ],
)
def test_an_origin_is_the_own_one_or_none(space: GuardedApp, headers: dict[str, str], status: int) -> None:
    assert space.client(Role.OWNER, **headers).post("/logout").status_code == status


# Guessing


def test_tokens_cannot_be_tried_one_after_the_other(tokens: GuardedApp) -> None:
    def try_bearer(number: int) -> int:
        return tokens.client(authorization=f"Bearer {number}").get("/config").status_code

    assert [try_bearer(i) for i in range(11)] == [401] * 10 + [429]
    late = tokens.client(authorization=f"Bearer {OWNER_TOKEN}")
    assert late.get("/config").status_code == 429, "also the right one, so that nothing is learnt"
    assert tokens.client().post("/access", data={"token": OWNER_TOKEN}).status_code == 429
    assert tokens.client().get(f"/?token={OWNER_TOKEN}").status_code == 429
    elsewhere = TestClient(tokens.access, "http://127.0.0.1:7860", client=("10.0.0.9", 1), follow_redirects=False)
    elsewhere.headers["x-forwarded-for"] = "1.1.1.1"
    assert elsewhere.get(f"/?token={OWNER_TOKEN}").status_code == 303, "others are not kept out"


def test_who_is_signed_in_is_not_kept_out_by_guesses(tokens: GuardedApp) -> None:
    owner = tokens.client()
    assert owner.get(f"/?token={OWNER_TOKEN}").status_code == 303
    for i in range(12):
        tokens.client().post("/access", data={"token": str(i)})
    assert owner.get("/config").status_code == LET_IN


def test_the_cookie_cannot_be_calculated_from_a_guess(tokens: GuardedApp, home: Home, tmp_path: Path) -> None:
    client = tokens.client()
    client.get(f"/?token={OWNER_TOKEN}")
    cookie = client.cookies[COOKIE]
    assert cookie == token_cookie(OWNER_TOKEN, load_cookie_secret(home)), "it is still good after a restart"
    assert cookie != token_cookie(OWNER_TOKEN, load_cookie_secret(Home.open(tmp_path / "other"))), "and only here"
    assert (home.processes / "cookie-secret").stat().st_mode & 0o077 == 0


def test_the_link_with_the_token_is_left_without_a_trace(tokens: GuardedApp) -> None:
    answer = tokens.client().get(f"/?token={OWNER_TOKEN}")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert OWNER_TOKEN not in answer.headers["location"] + answer.text


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("https, http", True), ("http", False), ("", False)])
def test_over_https_the_cookie_is_for_https_only(tokens: GuardedApp, proto: str, secure: bool) -> None:
    cookie = tokens.client(**{"x-forwarded-proto": proto}).get(f"/?token={OWNER_TOKEN}").headers["set-cookie"]
    assert ("Secure" in cookie) is secure


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_a_picture_in_an_answer_does_nothing_in_the_name_of_who_reads_it(tokens: GuardedApp, kind: str) -> None:
    """As one whose address is a wrong token's, so that its reader may not show a right one for a while."""
    reader = tokens.client(**{"sec-fetch-dest": kind})
    for path in (*[f"/?token={i}" for i in range(12)], "/login/huggingface", "/adapters/pirate.zip", "/v1/models", "/"):
        assert reader.get(path).status_code == 403
    navigating = tokens.client(**{"sec-fetch-dest": "document"})
    assert navigating.get(f"/?token={OWNER_TOKEN}").status_code == 303
    navigating.headers["sec-fetch-dest"] = kind
    assert navigating.get("/static/img/logo.svg").status_code == LET_IN
    assert navigating.get("/favicon.ico").status_code == LET_IN


# Keeping it busy


def test_a_flood_of_events_is_stopped_and_the_owner_is_not(
    space: GuardedApp, page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    space.access.events = RateLimits(3, 100)
    tick = event(page, "page_handlers.refresh")
    visitor, owner = space.client(), space.client(Role.OWNER)
    assert [visitor.post(EVENT_PATHS[0], json=tick).status_code for _ in range(4)] == [LET_IN] * 3 + [429]
    assert {owner.post(EVENT_PATHS[0], json=tick).status_code for _ in range(4)} == {LET_IN}


def test_few_events_of_many_values_are_a_flood(space: GuardedApp, page: gr.Blocks) -> None:
    space.access.events = RateLimits(100, 1_000)
    much = event(page, "chat.conversations_handlers.search_conversations", ["", [[0]] * 20_000, ""])
    visitor, owner = space.client(), space.client(Role.OWNER)
    assert [visitor.post(EVENT_PATHS[0], json=much).status_code for _ in range(3)] == [LET_IN, LET_IN, 429]
    assert {owner.post(EVENT_PATHS[0], json=much).status_code for _ in range(3)} == {LET_IN}


def test_others_than_the_owner_send_less(space: GuardedApp, page: gr.Blocks) -> None:
    large = event(page, "chat.conversations_handlers.search_conversations", ["", None, "x" * (4 << 20)])
    assert space.client().post(EVENT_PATHS[0], json=large).status_code == 413
    assert space.client(Role.OWNER).post(EVENT_PATHS[0], json=large).status_code == LET_IN
    assert MAX_OTHERS_BODY_BYTES > 2 * MAX_BROWSER_BYTES, "what a browser keeps goes through with room to spare"


@pytest.mark.slow
def test_what_fails_unforeseen_tells_nothing(quiet_studio: Studio) -> None:
    app = build_app(quiet_studio)
    mounted = [inner for route in app.routes if isinstance(inner := getattr(route, "app", None), gr.routes.App)]
    assert [gradio_app.get_blocks().show_error for gradio_app in mounted] == [False]


@pytest.mark.parametrize("length", ["²", "-1", "1e9", "0x10", "", " "])
def test_a_length_that_is_none_is_refused(space: GuardedApp, length: str) -> None:
    headers = {b"content-length": length.encode("latin-1")}
    answer = space.client().post(EVENT_PATHS[0], content=b"{}", headers=headers)
    assert answer.status_code in (400, 413)


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    async def trickle() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        request = Request({"type": "http", "headers": []}, trickle)
        receive = request_bodies.bounded(request, 1000, patience=0.05)
        while True:
            await receive()

    with pytest.raises(request_bodies.Refusal) as refused:
        asyncio.run(asyncio.wait_for(read(), 30))
    assert refused.value.status_code == 408


def test_what_comes_after_the_body_may_take_its_time() -> None:
    """A stream is open as long as its reader stays, and that shows in the same place as the body."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]

    async def come() -> dict[str, Any]:
        if len(messages) == 1:
            await asyncio.sleep(0.2)
        return messages.pop(0)

    async def read() -> str:
        receive = request_bodies.bounded(Request({"type": "http", "headers": []}, come), 10, patience=0.1)
        await receive()
        return str((await receive())["type"])

    assert asyncio.run(read()) == "http.disconnect"


# Real sockets: what a client library would never send


@pytest.fixture(scope="module")
def address(quiet_studio: Studio) -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build_app(quiet_studio), log_config=None, limit_concurrency=20))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)
    listener.close()


def sent(address: tuple[str, int], text: bytes) -> bytes:
    with socket.create_connection(address, 10) as connection:
        connection.sendall(text)
        with contextlib.suppress(TimeoutError):
            return connection.recv(65536)
    return b""


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        "/%2e%2e/%2e%2e/etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static/..%5c..%5cetc%5cpasswd",
        "/gradio_api/file=/etc/passwd%00.png", "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd", "/assets/%00",
        "/gradio_api/file=\\\\evil.example\\share\\x", "/gradio_api/file=https://evil.example/x.html",
        "/adapters/%2e%2e%2f%2e%2e%2fkeys.json%00.zip", "/adapters/..%5c..%5cx.zip", "/adapters/a%0d%0aX-Evil:1.zip",
        "/gradio_api/dev/reload", "/dev/reload", "/monitoring", "/monitoring/summary", "/gradio_api/monitoring",
        "/gradio_api/component_server", "/gradio_api/stream/x/1/1/playlist.m3u8", "/gradio_api/mcp/sse", "/docs",
        "/openapi.json", "/gradio_api/openapi.json", "/gradio_api/deep_link?session_hash=x",
        "/tensorboard/%2e%2e/config", "http://evil.example/config", "//evil.example/config",
    ],
)  # fmt: skip
def test_odd_paths_give_nothing_and_break_nothing(address: tuple[str, int], target: str) -> None:
    host = f"127.0.0.1:{address[1]}"
    answer = sent(address, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    status = int(answer.split(b" ", 2)[1])
    assert 300 <= status < 500, answer[:300]
    assert b"root:x:0:0" not in answer
    assert b"X-Evil" not in answer.split(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /gradio_api/cancel HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 500\r\n\r\n{}",
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \xb2\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused(address: tuple[str, int], head: bytes) -> None:
    assert sent(address, head).split(b" ", 2)[1] in (b"400", b"403", b"413", b"422")


def test_half_sent_requests_do_not_keep_others_out_of_files(address: tuple[str, int]) -> None:
    """Who opens connections and says no more gets a bounded number of them; the answer to the rest is 503 at once."""
    held = []
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    try:
        for _ in range(60):  # the limit is 20; the server may still count a few that others have just closed
            held.append(socket.create_connection(address, 10))
            held[-1].sendall(b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
            if (answer := sent(address, request)).startswith(b"HTTP/1.1 503"):
                break
        assert answer.startswith(b"HTTP/1.1 503")
    finally:
        for waiting in held:
            waiting.close()


def test_what_a_stranger_sends_is_no_line_of_the_log() -> None:
    formatter = MaskingFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    said = "refused: x\n2026-01-01 00:00:00,000 studio: the owner signed in\r\x1b[2J\x9b"
    text = formatter.format(logging.LogRecord("x", 40, "", 0, "%s", (said,), None))
    _, *others = text.split("\n")
    assert all(line.startswith("  | ") for line in others)
    assert not any(character in text for character in ("\r", "\x1b", "\x9b"))

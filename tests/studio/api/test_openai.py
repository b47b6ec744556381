"""/v1 as people reach it: what each may use, errors in OpenAI's shape, and no path of the machine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI, Request
from hypothesis import given, settings
from starlette.testclient import TestClient

from core.common.home import Home
from studio.answers.ask import GenerationSettings, Question, ask_columns
from studio.api import openai
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.auth.keys import Keys
from studio.auth.middleware import AccessMiddleware
from studio.auth.published import PublishedAdapters
from studio.auth.sessions import Sessions
from studio.auth.signin import COOKIE
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from tests.adapters.folders import write_adapter
from tests.core.serving.api.strange_requests import CHAT, OF_CHAT, SHARED, strange, written
from tests.studio.conftest import SPACE_HOST, space_settings

SHAPE = {"message", "type", "param", "code"}
FOLDER = "/srv/models/foo"


class Upstream(ThreadingHTTPServer):
    """A server in the engine's place: what it is to answer, by path, and with which headers it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.breaks_off = False
        self.asked: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.may_answer = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.server.may_answer.wait(60)
        status, kind, body = self.server.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + self.server.breaks_off))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Studio:
    """A studio with three adapters, one of them published, and an engine that names folders, as other servers do."""
    root = tmp_path_factory.mktemp("api")
    home = Home.open(root / "home")
    studio = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    for name in ("pirate", "radio", "secret"):
        studio.store.import_folder(write_adapter(root / name), name)
    PublishedAdapters(home).set(studio.store.get("pirate"), True)
    return studio


@pytest.fixture(autouse=True)
def engine(upstream: Upstream, studio: Studio) -> Upstream:
    """There, and with nothing but its list of models."""
    base = {"id": FOLDER, "root": FOLDER, "parent": None}
    loras = [{"id": name, "root": f"/srv/home/{name}", "parent": FOLDER} for name in ("pirate", "radio", "run:1")]
    upstream.answers = {"/v1/models": (200, "application/json", json.dumps({"data": [base, *loras]}).encode())}
    upstream.breaks_off, upstream.asked, upstream.bodies = False, [], []
    upstream.may_answer.set()
    studio.engine._url = f"http://127.0.0.1:{upstream.server_port}"
    studio.engine._set_status("ready", "", base="foo")
    return upstream


@cache
def empty_page() -> gr.Blocks:
    with gr.Blocks() as page:
        pass
    return page


def client(studio: Studio, role: Role, *, only_published: bool = True) -> TestClient:
    app = FastAPI(exception_handlers=openai.ERRORS)
    app.include_router(openai.router(studio))

    @app.get("/healthz")
    def broken(request: Request) -> None:
        raise RuntimeError("/somebody/home")

    sessions = Sessions()
    app.add_middleware(
        AccessMiddleware,
        settings=space_settings("http://127.0.0.1:9", messages_per_minute=(1000, 1000)),
        page=empty_page(),
        keys=Keys(studio.home),
        sessions=sessions,
    )
    made = TestClient(app, f"https://{SPACE_HOST}", raise_server_exceptions=False)
    if role > Role.VISITOR:
        person = User(role, "bob", "hub:bøb", only_published=only_published)
        made.cookies.set(COOKIE, sessions.open(person, 60))
    return made


@pytest.fixture
def visitor(studio: Studio) -> TestClient:
    return client(studio, Role.VISITOR)


@pytest.fixture
def owner(studio: Studio) -> TestClient:
    return client(studio, Role.OWNER, only_published=False)


def test_each_is_told_of_the_models_that_they_may_use(studio: Studio, visitor: TestClient, owner: TestClient) -> None:
    for who in (visitor, client(studio, Role.USER)):
        assert [model["id"] for model in who.get("/v1/models").json()["data"]] == ["foo", "pirate"]
        assert who.get("/v1/models/pirate").json()["parent"] == "foo"
        missing = who.get("/v1/models/radio")
        assert missing.status_code == 404
        assert missing.json()["error"]["message"] == "There is no model 'radio'. Known: foo, pirate."
    assert [model["id"] for model in owner.get("/v1/models").json()["data"]] == ["foo", "pirate", "radio", "run:1"]
    assert owner.get("/v1/models/run:1").status_code == owner.get("/v1/models/base").status_code == 200


def test_no_list_of_models_names_a_folder_of_the_machine(visitor: TestClient, owner: TestClient) -> None:
    for who in (visitor, owner):
        for path in ("/v1/models", "/v1/models/foo", "/v1/models/pirate", "/v1/models/nothing"):
            assert "/srv" not in who.get(path).text


@pytest.mark.parametrize("model", ["radio", "secret", "nothing", "", "x" * 100_000])
def test_what_a_visitor_may_not_use_is_not_passed_on(visitor: TestClient, engine: Upstream, model: Any) -> None:
    answer = visitor.post("/v1/completions", json={"model": model, "prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    assert (set(answer.json()["error"]), len(answer.text) < 400, engine.asked) == (SHAPE, True, [])


BODIES = [b"{", b"[]", b"", b'{"model": "\\ud83d"}', b'{"model": NaN}', b"[" * 100_000]
NO_MODEL = [b"{}", b'{"model": null}', b'{"model": 5}', b'{"model": ["pirate"]}', b'{"model": {}}']


@pytest.mark.parametrize("body", BODIES + NO_MODEL)
def test_a_visitors_strange_body_is_their_own_error(visitor: TestClient, engine: Upstream, body: bytes) -> None:
    answer = visitor.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, set(answer.json()["error"]), engine.asked) == (400, SHAPE, [])


@pytest.mark.slow
@settings(max_examples=100)
@given(strange(CHAT, SHARED + OF_CHAT))
def test_a_strange_body_is_passed_on_or_refused_in_openais_shape(
    visitor: TestClient, engine: Upstream, body: dict[str, Any]
) -> None:
    engine.answers["/v1/chat/completions"] = (200, "application/json", b"{}")
    headers = {"Content-Type": "application/json"}
    answer = visitor.post("/v1/chat/completions", content=written(body), headers=headers)
    if answer.status_code != 200:
        assert answer.status_code in (400, 403)
        assert set(answer.json()["error"]) == SHAPE


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_an_answer_of_the_engine_is_passed_on_as_it_is(owner: TestClient, engine: Upstream, status: int) -> None:
    body = b'{"error": {"message": "no"}}'
    engine.answers["/v1/completions"] = (status, "application/json", body)
    answer = owner.post("/v1/completions", json={"model": "base"})
    assert (answer.status_code, answer.content) == (status, body)


def test_a_visitor_is_not_told_of_all_models_when_one_has_gone(visitor: TestClient, engine: Upstream) -> None:
    body = b'{"error": {"message": "There is no model pirate. Known: base, secret."}}'
    engine.answers["/v1/completions"] = (404, "application/json", body)
    answer = visitor.post("/v1/completions", json={"model": "pirate"})
    assert (answer.status_code, set(answer.json()["error"]), "secret" in answer.text) == (404, SHAPE, False)


@pytest.mark.slow
def test_an_engine_that_dies_over_an_answer_is_told_in_openais_shape(owner: TestClient, engine: Upstream) -> None:
    engine.breaks_off = True
    engine.answers["/v1/completions"] = (200, "application/json", b'{"choices": [')
    answer = owner.post("/v1/completions", json={"model": "base"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_not_ready")
    engine.answers["/v1/completions"] = (200, "text/event-stream", b'data: {"choices": []}\n\n')
    answer = owner.post("/v1/completions", json={"model": "base", "stream": True})
    last = answer.text.strip().split("\n\n")[-1].strip().removeprefix("data: ")
    assert set(json.loads(last)["error"]) == SHAPE


def test_who_leaves_before_the_answer_is_not_waited_for(owner: TestClient, engine: Upstream) -> None:
    engine.answers["/v1/completions"] = (200, "application/json", b"{}")
    engine.may_answer.clear()
    came = [{"type": "http.request", "body": b'{"model": "base"}', "more_body": False}]
    request = owner.build_request("POST", "/v1/completions", headers={"Content-Type": "application/json"})
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": "/v1/completions",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if came:
            return came.pop()
        while not engine.asked:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        asyncio.run(owner.app(scope, receive, send))  # type: ignore[arg-type]
        assert not engine.may_answer.is_set()
        assert sent[0]["status"] == 499
    finally:
        engine.may_answer.set()


def test_an_engine_that_answers_no_list_is_told_in_openais_shape(visitor: TestClient, engine: Upstream) -> None:
    body = b'{"error": {"message": "The engine is still loading.", "code": "loading"}}'
    engine.answers["/v1/models"] = (503, "application/json", body)
    assert visitor.get("/v1/models").json()["error"]["code"] == "loading"
    engine.answers["/v1/models"] = (502, "text/html", b"<html>")
    assert visitor.get("/v1/models").json()["error"]["message"] == "The engine answered 502."


def test_why_the_engine_failed_is_told_the_owner_alone(studio: Studio, visitor: TestClient, owner: TestClient) -> None:
    studio.engine._url = None
    studio.engine._set_status("failed", "The engine ended 5 times in a row.", cause=f"See {FOLDER}/engine.log.")
    told = {who: who.get("/v1/models") for who in (visitor, owner)}
    assert [answer.status_code for answer in told.values()] == [503, 503]
    assert FOLDER in told[owner].text
    assert FOLDER not in told[visitor].text
    assert all(set(answer.json()["error"]) == SHAPE for answer in told.values())


def test_whose_turn_it_is_does_not_depend_on_what_they_call_themselves(
    studio: Studio, visitor: TestClient, owner: TestClient, engine: Upstream
) -> None:
    engine.answers["/v1/completions"] = (200, "application/json", b"{}")
    for who in (visitor, client(studio, Role.USER), owner):
        body = {"model": "pirate", "user": "somebody"}
        assert who.post("/v1/completions", json=body, headers={"X-Client-Id": "mine"}).status_code == 200
    assert [headers.get("x-client-id") for headers in engine.asked] == ["from%3Atestclient", "hub%3Ab%C3%B8b", None]


def test_people_before_the_page_are_told_apart_by_the_engine_too(studio: Studio, engine: Upstream) -> None:
    engine.answers["/v1/chat/completions"] = (200, "text/event-stream", b"data: [DONE]\n\n")
    studio.engine.ready.set()

    async def ask(person: User) -> None:
        questions = {0: Question([{"role": "user", "content": "hi"}], "pirate")}
        async for _ in ask_columns(studio, person, questions, GenerationSettings("", 0.0, 1.0, 8, None)):
            pass

    for person in (User(Role.USER, "bob", "hub:bøb"), LOCAL_OWNER):
        asyncio.run(ask(person))
    assert [json.loads(body).get("user") for body in engine.bodies] == ["hub%3Ab%C3%B8b", None]


def test_a_bug_is_told_in_openais_shape_and_without_its_details(visitor: TestClient) -> None:
    answer = visitor.get("/healthz")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert "/somebody" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("DELETE", "/v1/models/pirate"), ("GET", "/v1/completions")]
)
def test_what_there_is_not_is_told_in_openais_shape(owner: TestClient, method: str, path: str) -> None:
    answer = owner.request(method, path)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


def test_a_body_that_grows_too_large_is_told_in_openais_shape(visitor: TestClient, tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * (1 << 20)

    headers = {"Content-Type": "application/json"}
    for content in (chunks(), b" " * (5 << 20)):
        answer = visitor.post("/v1/completions", content=content, headers=headers)
        assert (answer.status_code, set(answer.json()["error"])) == (413, SHAPE)

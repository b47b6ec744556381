"""Attacks. Each test is one that fails when the attack succeeds; docs/security.md says what is promised."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from adapters.common.errors import UserError
from core.common.redaction import MASK, MaskingFormatter, masked
from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER, AccessSettings, Role, User
from studio.auth.middleware import MAX_BODY_BYTES, MAX_UPLOAD_BYTES
from studio.auth.permissions import EVENT_PATHS, event_name
from studio.auth.published import PublishedAdapters
from studio.auth.signin import PENDING_COOKIE, PendingSignIns
from studio.context import Studio
from studio.page import build_page
from studio.settings.access_view import render_greeting
from studio.ui.events import bind, to_gradio_error
from studio.ui.failures import failure_html
from tests.adapters.folders import write_adapter
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import SPACE_HOST, files_beneath, handler, request_of, space_settings

HERE = "http://127.0.0.1:7860"
SECRET_LINE = "root:x:0:0"
OUTSIDE = ("/etc/passwd", "../../../../../../etc/passwd", "..", "", ".", "a/../../b", "a\0b", "~/x", "..%2f..%2fetc")
ODD = (".hidden", "x" * 65, "\u0430dapter", "\uff0fa", "a\nb", "a b", "base", "BASE", "-rf", "run:x", "a\u202eb")
VISITOR = User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=False, only_published=True)
USER = User(Role.USER, "bob", "hub:bob", "hf_oauth_bobs", sees_runs=False, only_published=True)


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio, sign_in=True)


@pytest.fixture(scope="module")
def local(quiet_studio: Studio) -> Iterator[TestClient]:
    """The whole app as it is started on one's own machine: the person before it may do everything."""
    with TestClient(build_app(quiet_studio), HERE, follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def space_app(quiet_studio: Studio, provider: OpenIDProvider) -> FastAPI:
    return build_app(quiet_studio, space_settings(provider.url))


@pytest.fixture
def visitor(space_app: FastAPI) -> TestClient:
    url = f"https://{SPACE_HOST}"
    return TestClient(space_app, url, follow_redirects=False, raise_server_exceptions=False)


def index_of(page: gr.Blocks, name: str) -> int:
    index: int = next(index for index, function in page.fns.items() if event_name(function.fn) == name)
    return index


def play(client: TestClient, index: int, data: list[Any]) -> str:
    """Everything that Gradio says of one event that went through its queue."""
    joined = client.post(EVENT_PATHS[0], json={"data": data, "fn_index": index, "session_hash": "mallory"})
    assert joined.status_code == 200, joined.text
    said = ""
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "mallory"}) as events:
        for line in events.iter_lines():
            said += line
            if "process_completed" in line or "close_stream" in line:
                break
    return said


# Reading files


@pytest.mark.slow
@pytest.mark.parametrize("given", ["/etc/passwd", "/etc/hostname", "/proc/self/environ"])
def test_a_file_input_does_not_take_a_path_of_the_servers(local: TestClient, page: gr.Blocks, given: str) -> None:
    upload = {"path": given, "meta": {"_type": "gradio.FileData"}, "orig_name": "x.jsonl"}
    said = play(local, index_of(page, "data.handlers.upload_files"), [[upload]])
    assert '"success":false' in said.replace(" ", "")
    assert SECRET_LINE not in said


def test_a_file_input_does_not_take_a_dataset_that_lies_elsewhere(
    local: TestClient, page: gr.Blocks, tmp_path: Path, quiet_studio: Studio
) -> None:
    private = tmp_path / "private.jsonl"
    private.write_text('{"text": "### Human: my password ### Assistant: tr0ub4dor"}\n')
    before = files_beneath(quiet_studio.home.datasets)
    upload = {"path": str(private), "meta": {"_type": "gradio.FileData"}}
    said = play(local, index_of(page, "data.handlers.upload_files"), [[upload]])
    assert '"success":false' in said.replace(" ", "")
    assert "tr0ub4dor" not in said
    assert files_beneath(quiet_studio.home.datasets) == before


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../../../etc/passwd",
        "/gradio_api/file=..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/file=pyproject.toml",
        "/gradio_api/file={home}/keys.json",
        "/gradio_api/file={home}/processes/web.json",
        "/gradio_api/file//etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/../../../../../../etc/passwd",
        "/svelte/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/tensorboard/..%2f..%2fetc%2fpasswd",
        "/gradio_api/custom_component/1/client/component/..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_address_gives_a_file_of_the_server(local: TestClient, quiet_studio: Studio, path: str) -> None:
    home = quiet_studio.home.root
    (home / "keys.json").write_text('[{"name": "k", "sha256": "secret-hash", "created": ""}]')
    (home / "processes/web.json").write_text('{"pid": 1, "url": "secret-hash"}')
    answer = local.get(path.format(home=home))
    assert answer.status_code in (400, 403, 404, 405, 422), answer.text[:200]
    assert SECRET_LINE not in answer.text
    assert "secret-hash" not in answer.text
    assert "requires-python" not in answer.text
    (home / "keys.json").unlink()


@pytest.mark.parametrize("given", ["/etc/passwd", "../../etc/passwd", "./pyproject.toml", "~/.bashrc"])
@pytest.mark.parametrize("person", [LOCAL_OWNER])
def test_checking_or_training_on_a_dataset_reads_no_other_file(page: gr.Blocks, given: str, person: User) -> None:
    with pytest.raises(gr.Error, match="neither a dataset"):
        handler(page, "data.handlers.choose_dataset")(given)
    begin = handler(page, "train.handlers.start_run")
    with pytest.raises(gr.Error, match="neither a dataset"):
        begin(False, f"dataset_name: {given}\nmodel_name_or_path: builtin\n", *[None] * 20)


def test_a_recipe_cannot_name_another_base_or_an_object(page: gr.Blocks) -> None:
    begin = handler(page, "train.handlers.start_run")
    for recipe in ("dataset_name: pirate\nmodel_name_or_path: /etc\n", "!!python/object/apply:os.system ['id']"):
        with pytest.raises(gr.Error):
            begin(False, recipe, *[None] * 20)


# Names that lead elsewhere


@pytest.mark.parametrize("name", [*OUTSIDE, *ODD])
def test_adapter_names_lead_nowhere_else(page: gr.Blocks, quiet_studio: Studio, name: str) -> None:
    root = quiet_studio.home.root
    (root / "precious.txt").write_text("x")
    before = files_beneath(root)
    for event in (
        "adapters_page.handlers.load_adapter",
        "adapters_page.handlers.unload_adapter",
        "adapters_page.handlers.delete_adapter",
        "settings.access_handlers.publish_adapter",
        "adapters_page.merge.merge_adapter",
    ):
        with pytest.raises(gr.Error):
            handler(page, event)(name)
    with pytest.raises(gr.Error):
        handler(page, "adapters_page.handlers.save_adapter")(name, "fine", "", "")
    with pytest.raises(gr.Error):
        handler(page, "adapters_page.hub_handlers.push_to_hub")(request_of(LOCAL_OWNER), name, "ada/x", False, "")
    assert files_beneath(root) == before


@pytest.mark.parametrize("name", [*OUTSIDE, *ODD])
def test_an_adapter_cannot_be_renamed_out_of_the_store(
    page: gr.Blocks, quiet_studio: Studio, tmp_path: Path, name: str
) -> None:
    quiet_studio.store.import_folder(write_adapter(tmp_path / "lora"), "mine")
    before = files_beneath(quiet_studio.home.root)
    with pytest.raises(gr.Error):
        handler(page, "adapters_page.handlers.save_adapter")("mine", name, "", "")
    assert files_beneath(quiet_studio.home.root) == before
    quiet_studio.store.delete("mine")


@pytest.mark.parametrize("run_id", [run_id for run_id in (*OUTSIDE, *ODD) if run_id])
@pytest.mark.parametrize(
    "event",
    [
        "runs.handlers.stop_run",
        "runs.handlers.pause_run",
        "runs.handlers.resume_run",
        "runs.handlers.delete_run",
        "runs.handlers.show_log",
    ],
)
def test_run_ids_lead_nowhere_else(page: gr.Blocks, quiet_studio: Studio, run_id: str, event: str) -> None:
    before = files_beneath(quiet_studio.home.root)
    with pytest.raises(gr.Error):
        handler(page, event)(run_id)
    assert files_beneath(quiet_studio.home.root) == before


@pytest.mark.parametrize(
    "repo_id",
    [
        "../../etc",
        "/etc/passwd",
        "a/b/c",
        "https://evil.example/a/b",
        "",
        "a b/c",
        "evil.example:8080/x",
        "a/b:443",
        "a/b@main",
        "a/b?x=1",
        "a/b#x",
        "\u0430/b",
        "a\n/b",
        "a/b.git",
        "a/" + "b" * 100,
        "a--b/c",
    ],
)
def test_repository_ids_lead_nowhere_else(page: gr.Blocks, quiet_studio: Studio, repo_id: str) -> None:
    before = files_beneath(quiet_studio.home.adapters)
    with pytest.raises(gr.Error):
        handler(page, "adapters_page.hub_handlers.pull_from_hub")(request_of(LOCAL_OWNER), repo_id, "", "hf_token")
    assert files_beneath(quiet_studio.home.adapters) == before


def test_an_uploads_name_stays_a_name(local: TestClient) -> None:
    evil = "../../../../tmp/evil.jsonl"
    answer = local.post("/gradio_api/upload", files={"files": (evil, b"{}", "application/jsonl")})
    (stored,) = answer.json()
    assert ".." not in stored
    assert Path(stored).name == "evil.jsonl"
    assert not Path("/tmp/evil.jsonl").exists()


# Uploads and bodies


@pytest.mark.parametrize("name", ["adapter.bin", "model.pkl", "page.html", "run.sh", "data.zip"])
def test_uploads_are_typed(local: TestClient, page: gr.Blocks, quiet_studio: Studio, name: str) -> None:
    before = files_beneath(quiet_studio.home.datasets)
    (stored,) = local.post("/gradio_api/upload", files={"files": (name, b"x")}).json()
    upload = {"path": stored, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    said = play(local, index_of(page, "data.handlers.upload_files"), [[upload]])
    assert '"success":false' in said.replace(" ", "")
    assert files_beneath(quiet_studio.home.datasets) == before


@pytest.mark.parametrize(
    ("path", "most"),
    [("/gradio_api/upload", MAX_UPLOAD_BYTES), (EVENT_PATHS[0], MAX_BODY_BYTES), ("/v1/completions", MAX_BODY_BYTES)],
)
def test_bodies_are_bounded_by_what_they_say(local: TestClient, path: str, most: int) -> None:
    answer = local.post(path, content=b"{}", headers={"content-length": str(most + 1)})
    assert answer.status_code == 413


@pytest.mark.parametrize("path", [EVENT_PATHS[0], EVENT_PATHS[1], "/v1/completions"])
def test_bodies_are_bounded_by_what_they_are(local: TestClient, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.app.state.studio.engine, "_url", "http://127.0.0.1:1")  # type: ignore[attr-defined]
    pieces = (b'{"data": ["' + b"x" * (1 << 20) for _ in range((MAX_BODY_BYTES >> 20) + 1))
    assert local.post(path, content=pieces, headers={"content-type": "application/json"}).status_code == 413


@pytest.mark.slow
def test_visitors_cannot_fill_the_disk(visitor: TestClient) -> None:
    assert visitor.post("/gradio_api/upload", files={"files": ("a.jsonl", b"{}")}).status_code == 403


# Getting round the table of events


@pytest.mark.parametrize(
    "asked",
    ['"fn_index": "{forbidden}"', '"fn_index": {forbidden}.0', '"fn_index": {allowed}, "fn_index": {forbidden}',
     '"fn_index": {allowed}, "\\u0066n_index": {forbidden}'],
)  # fmt: skip
def test_an_event_cannot_be_passed_off_as_another(visitor: TestClient, page: gr.Blocks, asked: str) -> None:
    numbers = {
        "forbidden": index_of(page, "train.handlers.start_run"),
        "allowed": index_of(page, "chat.handlers.show_columns"),
    }
    body = '{"data": [], "session_hash": "m", ' + asked.format(**numbers) + "}"
    for path in EVENT_PATHS:
        answer = visitor.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 403, answer.text


def test_what_passes_the_table_is_what_gradio_does(visitor: TestClient, page: gr.Blocks) -> None:
    forbidden, allowed = index_of(page, "train.handlers.start_run"), index_of(page, "chat.handlers.show_columns")
    body = f'{{"data": [2], "session_hash": "m", "fn_index": {forbidden}, "fn_index": {allowed}}}'
    answer = visitor.post(EVENT_PATHS[1], content=body, headers={"content-type": "application/json"})
    shown, begun = (len(page.fns[index].outputs) for index in (allowed, forbidden))
    assert len(answer.json()["data"]) == shown != begun, "it was chat.show that ran"


@pytest.mark.parametrize("index", [None, -1, 9999, [14], {"a": 1}, "begin"])
def test_an_event_that_is_none_is_refused(local: TestClient, index: object) -> None:
    for path in (*EVENT_PATHS, "/gradio_api/run/predict"):
        answer = local.post(path, json={"data": [], "session_hash": "m", "fn_index": index})
        assert answer.status_code in (403, 422)


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/run/begin", "/gradio_api/api/begin", "/gradio_api/call/begin", "/gradio_api/call/v2/begin",
     "/gradio_api/component_server", "/gradio_api/run/predict/", "/gradio_api//queue/join", "//gradio_api/queue/join",
     "/gradio_api/queue/join/", "/gradio_api/vibe-code", "/gradio_api/process_recording", "/GRADIO_API/queue/join"],
)  # fmt: skip
def test_there_is_no_other_way_to_an_event(visitor: TestClient, page: gr.Blocks, path: str) -> None:
    body = {"data": [], "session_hash": "m", "fn_index": index_of(page, "train.handlers.start_run")}
    assert visitor.post(f"https://{SPACE_HOST}{path}", json=body).status_code in (403, 404)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"data": 1}', b"\xff\xfe", b"[" * 20_000])
def test_a_body_that_is_no_event_is_refused(local: TestClient, body: bytes) -> None:
    for path in EVENT_PATHS:
        assert local.post(path, content=body, headers={"content-type": "application/json"}).status_code == 422


def test_websockets_are_closed(local: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), local.websocket_connect("/gradio_api/queue/join"):
        pass


# What is not published


def test_visitors_get_nothing_of_unpublished_adapters_and_runs(
    page: gr.Blocks, quiet_studio: Studio, tmp_path: Path
) -> None:
    record = quiet_studio.store.import_folder(write_adapter(tmp_path / "lora"), "not-for-all")
    tick = handler(page, "page_handlers.refresh_all")
    assert "not-for-all" in str(tick(request_of(LOCAL_OWNER), None))
    assert "not-for-all" not in str(tick(request_of(VISITOR), None))
    assert "not-for-all" not in json.dumps(page.get_config_file(), default=str)
    with pytest.raises(gr.Error, match="not published"):
        handler(page, "adapters_page.hub_handlers.push_to_hub")(
            request_of(USER), "not-for-all", "bob/stolen", False, ""
        )
    PublishedAdapters(quiet_studio.home).set(record, True)
    assert "not-for-all" in str(tick(request_of(VISITOR), None))
    quiet_studio.store.delete("not-for-all")


def test_visitors_are_not_told_where_the_log_of_a_failed_engine_lies(page: gr.Blocks, quiet_studio: Studio) -> None:
    before, tick = quiet_studio.engine.status, handler(page, "page_handlers.refresh_all")
    quiet_studio.engine._set_status("failed", "The engine ended 5 times in a row.", cause="See /srv/home/engine.log.")
    assert "5 times" in str(tick(request_of(VISITOR), None))
    assert "/srv/home" not in str(tick(request_of(VISITOR), None))
    assert "/srv/home" in str(tick(request_of(LOCAL_OWNER), None))
    quiet_studio.engine._status = before


def test_an_error_tells_nobody_but_the_owner_where_files_lie() -> None:
    @bind
    def fails(request: gr.Request) -> None:
        raise UserError("There is no adapter folder at /srv/home/adapters/lost.", "Look again.")

    for person in (VISITOR, USER, LOCAL_OWNER):
        with pytest.raises(gr.Error, match=r"lost\. Look again") as error:
            fails(request_of(person))
        assert ("/srv" in str(error.value.message)) == (person is LOCAL_OWNER)
        assert ("/srv" in failure_html(error.value.__cause__, [request_of(person)])) == (person is LOCAL_OWNER)


@pytest.mark.parametrize("model", ["not-for-all", "run:20260101-000000-x", None, ["base"], {"a": 1}, "../../etc"])
def test_visitors_cannot_have_unpublished_models_answer(
    visitor: TestClient, space_app: FastAPI, model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_app.state.studio.engine, "_url", "http://127.0.0.1:1")
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert visitor.post(path, json=body).status_code in ((403, 429) if isinstance(model, str) else (400, 429))


def test_visitors_cannot_chat_with_unpublished_models(page: gr.Blocks) -> None:
    settings, histories = ("", 0, 1, 16, None), list[list[Any]]([[]] * 4)
    names = ["base", "not-for-all", "base", "base"]
    answers = handler(page, "chat.handlers.send_message")(
        request_of(VISITOR), "hi", 2, 0, False, False, None, *settings, *names, *histories
    )
    with pytest.raises(gr.Error, match="not published"):
        asyncio.run(anext(answers))


def test_a_users_push_and_pull_never_use_the_studios_own_token(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_the-owners")
    used: list[str | None] = []

    def pull_adapter(*args: object, token: str | None, **others: object) -> None:
        used.append(token)
        raise RuntimeError("far enough")

    monkeypatch.setattr("studio.adapters_page.hub_handlers.pull_adapter", pull_adapter)
    pull = handler(page, "adapters_page.hub_handlers.pull_from_hub")
    nobody = User(Role.USER, "user", "user")
    for person, given in ((nobody, ""), (USER, ""), (USER, "hf_typed"), (LOCAL_OWNER, ""), (LOCAL_OWNER, "hf_typed")):
        with pytest.raises(gr.Error):
            pull(request_of(person), "a/b", "", given)
    assert used == ["hf_oauth_bobs", "hf_typed", None, "hf_typed"], "None, the studio's own, for the owner alone"


# Other sites, other names


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", f"{HERE}.evil.example"])
@pytest.mark.parametrize("path", [EVENT_PATHS[0], "/gradio_api/upload", "/v1/chat/completions", "/gradio_api/cancel"])
def test_pages_of_other_origins_change_nothing(local: TestClient, origin: str, path: str) -> None:
    assert local.post(path, json={}, headers={"origin": origin}).status_code == 403


def test_the_pages_own_origin_may(local: TestClient, visitor: TestClient) -> None:
    assert local.post(EVENT_PATHS[0], json={}, headers={"origin": HERE}).status_code == 422
    assert visitor.post(EVENT_PATHS[0], json={}, headers={"origin": f"https://{SPACE_HOST}"}).status_code == 422
    assert visitor.post("/logout", headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "localhost.evil"])
@pytest.mark.parametrize("path", ["/", "/config", "/v1/models", "/tensorboard/"])
def test_a_name_that_was_bent_to_this_machine_gets_nothing(local: TestClient, host: str, path: str) -> None:
    answer = local.get(path, headers={"host": host})
    assert answer.status_code == 400
    assert "gradio" not in answer.text


@pytest.mark.parametrize("path", ["/", "/config", "/v1/models", "/gradio_api/info"])
def test_cors_is_closed(local: TestClient, visitor: TestClient, path: str) -> None:
    for client in (local, visitor):
        asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        for answer in (client.get(path, headers=asked), client.options(path, headers=asked)):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.slow
def test_cors_opens_for_programs_only_and_only_where_it_was_asked_for(quiet_studio: Studio) -> None:
    settings = AccessSettings("owner-token", cors_origins=("https://app.example",))
    client = TestClient(
        build_app(quiet_studio, settings), "http://studio.lan", headers={"origin": "https://app.example"}
    )
    client.headers["authorization"] = "Bearer owner-token"
    answer = client.get("/v1/models")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert client.post(EVENT_PATHS[0], json={}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/config", "/v1/models", "/nothing", "/gradio_api/file=/etc/passwd"])
def test_every_answer_carries_the_headers(local: TestClient, visitor: TestClient, path: str) -> None:
    for client in (local, visitor):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "object-src 'none'" in policy
        assert policy.replace("https://huggingface.co", "").count("http") == 0, "no other host is named"
    assert "x-frame-options" not in visitor.get(path).headers
    assert (
        visitor.get(path).headers["content-security-policy"].endswith("frame-ancestors 'self' https://huggingface.co")
    )
    assert local.get(path).headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.slow
def test_a_link_with_a_token_leads_to_no_other_host(quiet_studio: Studio) -> None:
    client = TestClient(build_app(quiet_studio, AccessSettings("owner-token")), HERE, follow_redirects=False)
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        where = client.get(f"{HERE}{path}?token=owner-token").headers["location"]
        assert where.startswith("/")
        assert where[1:2] not in ("/", "\\")


@pytest.mark.slow
def test_signing_in_cannot_be_finished_in_another_browser(
    space_app: FastAPI, visitor: TestClient, provider: OpenIDProvider
) -> None:
    import httpx

    provider.profile = {"preferred_username": "mallory"}
    asked = visitor.get("/login/huggingface").headers["location"]
    back = httpx.get(asked).headers["location"]
    victim = TestClient(space_app, f"https://{SPACE_HOST}", follow_redirects=False)
    assert victim.get(back).status_code == 400, "the victim would be signed in as the attacker"
    victim.cookies.set(PENDING_COOKIE, visitor.cookies[PENDING_COOKIE][:-1] + "0")
    assert victim.get(back).status_code == 400
    assert visitor.get(back).status_code == 303
    assert visitor.get(back).status_code == 400, "a state is used only once"


@pytest.mark.slow
def test_no_number_of_sign_ins_pushes_out_one_that_is_under_way(
    space_app: FastAPI, visitor: TestClient, provider: OpenIDProvider
) -> None:
    """Nothing of it is kept, so nothing can be let go; and each address may begin few."""
    import httpx

    provider.profile = {"preferred_username": "bob"}
    back = httpx.get(visitor.get("/login/huggingface").headers["location"]).headers["location"]
    crowd = TestClient(space_app, f"https://{SPACE_HOST}", follow_redirects=False)
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


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        "GET /?token=abcdef123456&x=1",
        "Authorization: Bearer abcdef123456",
        "the token hf_abcdef123456 was refused",
        "key gs_abcdef123456-_x",
        "own secret my-own-abcdef123456 here",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    shown = masked(text, "my-own-abcdef123456")
    assert "abcdef123456" not in shown
    assert MASK in shown


def test_logs_are_masked_tracebacks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-shape")
    formatter = MaskingFormatter(logging.Formatter("%(message)s"), "owner-token")
    try:
        raise ValueError("refused: a-token-of-another-shape")
    except ValueError as error:
        record = logging.LogRecord(
            "x", 40, "", 0, "with %s", ("owner-token",), (type(error), error, error.__traceback__)
        )
    text = formatter.format(record)
    assert "Traceback" in text
    assert "another-shape" not in text
    assert "owner-token" not in text


def test_settings_and_people_do_not_print_their_secrets() -> None:
    assert "owner-token" not in repr(AccessSettings("owner-token", "user-token"))
    assert "user-token" not in repr(AccessSettings("owner-token", "user-token"))
    assert "hf_oauth_bobs" not in repr(USER)

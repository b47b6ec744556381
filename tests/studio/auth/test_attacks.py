"""Attacks by files, names and bodies. Each test fails when one succeeds; docs/security.md says what is promised."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from starlette.testclient import TestClient

from studio.auth.identity import LOCAL_OWNER, User
from studio.auth.middleware import MAX_BODY_BYTES, MAX_UPLOAD_BYTES
from studio.auth.permissions import EVENT_PATHS
from studio.context import Studio
from studio.page import build_page
from tests.adapters.folders import write_adapter
from tests.studio.auth.attackers import ODD, OUTSIDE, SECRET_LINE, index_of, play
from tests.studio.conftest import files_beneath, handler, request_of


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio, sign_in=True)


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
def test_run_ids_lead_nowhere_else(page: gr.Blocks, quiet_studio: Studio, run_id: str) -> None:
    before = files_beneath(quiet_studio.home.root)
    for event in (
        "runs.handlers.stop_run",
        "runs.handlers.pause_run",
        "runs.handlers.resume_run",
        "runs.handlers.delete_run",
        "runs.handlers.show_log",
    ):
        with pytest.raises(gr.Error):
            handler(page, event)(run_id)
        assert files_beneath(quiet_studio.home.root) == before, event


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

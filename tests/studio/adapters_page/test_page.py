"""Adapters as cards: what they say to whom, what their buttons do, and what comes out as a zip or as merged weights."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from safetensors.numpy import load_file
from starlette.testclient import TestClient

from adapters.bases import said_same
from adapters.common.errors import UserError
from adapters.record import DatasetRef, HubRef
from core.common.home import Home
from core.models.builtin import BASE_DIR
from studio.adapters_page import merged_models, upload
from studio.adapters_page import page as adapters
from studio.adapters_page.cards import Standing, card
from studio.adapters_page.page import overview
from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.auth.published import PublishedAdapters
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.page import build_page
from tests.adapters.folders import weights, write_adapter
from tests.hub_server.fixtures import Hub, hub
from tests.studio.conftest import handler, request_of

__all__ = ["hub"]
BOB = User(Role.USER, "bob", "hub:bob", "hf_bob", sees_runs=False, only_published=True)
VISITOR = User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=False, only_published=True)
LINEARS = {"model.layers.0.self_attn.q_proj": (256, 256), "model.layers.3.mlp.up_proj": (704, 256)}


@pytest.fixture
def studio(home: Home, tmp_path: Path) -> Studio:
    made = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    made.store.import_folder(write_adapter(tmp_path / "lora", tensors=weights(LINEARS)), "mine")
    return made


@pytest.fixture
def page(studio: Studio) -> Iterator[gr.Blocks]:
    yield build_page(studio, sign_in=True)


def clicked(action: str, value: str) -> Any:
    return SimpleNamespace(_data={"action": action, "value": value})


def by_label(page: gr.Blocks, updates: dict[Any, Any]) -> dict[str, Any]:
    return {getattr(each, "label", None) or type(each).__name__: value for each, value in updates.items()}


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
    shown = card(Standing(record, "slot"), Role.OWNER)
    for fact in ("mine", "guanaco-builtin", "pirate", "80", "0.500", "4, alpha 8", "in a slot", "on the Hub", "#sea"):
        assert fact in shown
    assert "Arr" in shown
    assert "on disk" in card(Standing(record), Role.OWNER)


def test_everyone_gets_the_buttons_that_they_may_use(studio: Studio) -> None:
    record = studio.store.get("mine")
    visitor, user, owner = (card(Standing(record), role) for role in (Role.VISITOR, Role.USER, Role.OWNER))
    assert "Compare" in visitor
    assert "Zip" not in visitor
    assert ".zip" in user
    assert "data-action" not in user
    assert 'data-action="continue"' in owner


def test_what_cannot_be_served_says_why_on_its_card(studio: Studio, tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other", base_model_name_or_path="meta-llama/Llama-2-7b-chat-hf")
    studio.store.import_folder(other, "llama")
    (studio.store.root / "half").mkdir()
    studio.engine._set_status("ready", "", base="guanaco-builtin")
    shown = overview(studio)
    assert "trained on meta-llama/Llama-2-7b-chat-hf" in shown
    assert "half" in shown
    assert shown.count("Cannot be used") == 2
    llamas = shown[shown.index('data-adapter="llama"') :].split("</article>")[0]
    assert "Compare" not in llamas, "no control that cannot work"
    assert "half" not in overview(studio, BOB), "what is broken is the owner's"


def test_the_owner_may_say_that_a_base_is_the_same_and_take_it_back(
    studio: Studio, page: gr.Blocks, tmp_path: Path
) -> None:
    copy = write_adapter(tmp_path / "copy", tensors=weights(LINEARS), base_model_name_or_path="ada/copy")
    studio.store.import_folder(copy, "copied")
    act = handler(page, "adapters_page.card_actions.act")
    assert 'data-action="same" data-value="copied"' in overview(studio)
    assert "Say that ada/copy is a copy of guanaco-builtin?" in overview(studio)
    assert 'data-action="same"' not in overview(studio, replace(BOB, only_published=False)), "the owner's to say"
    with pytest.raises(gr.Error, match="The engine is not there, which compares"):
        act(clicked("same", "copied"))
    assert studio.store.get("copied").same_base is None
    studio.store.update(said_same(studio.store.get("copied"), "guanaco-builtin"))
    shown = overview(studio)
    assert "Cannot be used" not in shown
    assert "<dt>A copy of</dt><dd>guanaco-builtin, said on 20" in shown
    act(clicked("not-same", "copied"))
    assert studio.store.get("copied").same_base is None
    assert "trained on ada/copy" in overview(studio)


def test_an_adapter_that_lacks_what_the_engine_serves_is_not_made_fit_by_a_word(studio: Studio, tmp_path: Path) -> None:
    dora = write_adapter(tmp_path / "dora", tensors=weights(LINEARS), base_model_name_or_path="ada/copy", use_dora=True)
    small = write_adapter(
        tmp_path / "small",
        tensors=weights({"model.layers.0.self_attn.q_proj": (128, 64)}),
        base_model_name_or_path="ada/copy",
    )
    for folder in (dora, small):
        studio.store.import_folder(folder, folder.name)
    assert "DoRA" in overview(studio)
    assert "trained on ada/copy" in overview(studio)
    assert 'data-action="same"' not in overview(studio), "no control that cannot work"


def test_what_failed_stays_on_the_card_until_it_works(studio: Studio) -> None:
    with gr.Blocks():
        page = adapters.build(studio)
    with pytest.raises(Exception, match="is not there"), page.troubles.noting("mine", "Loading"):
        studio.client.load("mine", "x")
    assert "Loading failed. The engine is not there yet" in overview(studio, LOCAL_OWNER, page)
    assert "Loading failed" not in overview(studio, replace(BOB, only_published=False), page)
    with page.troubles.noting("mine", "Loading"):
        pass
    assert "The engine is not there yet" not in overview(studio, LOCAL_OWNER, page)


def test_rename_note_and_tags(studio: Studio, page: gr.Blocks) -> None:
    chosen = handler(page, "adapters_page.page.save")("mine", "yours", "sea, #english, sea", " Talks well ")
    assert chosen.value == "yours"
    record = studio.store.get("yours")
    assert (record.tags, record.note) == (["sea", "english"], "Talks well")
    nothing, panel, *filled = handler(page, "adapters_page.page.details")(request_of(LOCAL_OWNER), "yours")
    assert (nothing.visible, panel.visible) == (False, True)
    assert filled == ["yours", "sea, english", "Talks well", ""]
    nothing, panel, *_ = handler(page, "adapters_page.page.details")(request_of(LOCAL_OWNER), None)
    assert (nothing.visible, panel.visible) == (True, False)
    with pytest.raises(gr.Error, match="not published"):
        handler(page, "adapters_page.page.details")(request_of(BOB), "yours")


def test_the_buttons_lead_to_chat_compare_and_train(studio: Studio, page: gr.Blocks) -> None:
    look, act = handler(page, "adapters_page.card_actions.look"), handler(page, "adapters_page.card_actions.act")
    assert "mine" in look(request_of(LOCAL_OWNER), clicked("chat", "mine")).values()
    compared = list(look(request_of(LOCAL_OWNER), clicked("compare", "mine")).values())
    assert {"base", "mine"} <= {each for each in compared if isinstance(each, str)}
    assert 2 in [each for each in compared if isinstance(each, int)]
    with pytest.raises(gr.Error, match="not published"):
        look(request_of(VISITOR), clicked("chat", "mine"))
    trained = replace(studio.store.get("mine"), recipe={"dataset_name": "pirate", "lora_r": 4})
    studio.store.update(trained)
    filled = by_label(page, act(clicked("continue", "mine")))
    assert filled["init_adapter"] == "mine"
    assert filled["Dataset"] == "pirate"
    studio.store.update(replace(trained, recipe={"a setting of another studio": 1}))
    assert by_label(page, act(clicked("continue", "mine")))["init_adapter"] == "mine"
    with pytest.raises(gr.Error, match="nothing called"):
        act(clicked("explode", "mine"))
    act(clicked("delete", "mine"))
    assert not studio.store.list()


def test_a_zip_is_what_a_push_would_send_and_comes_in_again(studio: Studio, tmp_path: Path) -> None:
    studio.store.update(replace(studio.store.get("mine"), steps=80))
    client = TestClient(build_app(studio), base_url="http://127.0.0.1")
    answer = client.get("/adapters/mine.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="mine.zip"'
    archive = tmp_path / "back.zip"
    archive.write_bytes(answer.content)
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert "adapter_model.safetensors" in names
    assert "studio.json" not in names
    back = upload.take(studio.store, [archive], "")
    assert (back.name, back.steps) == ("back", 80)
    original = load_file(studio.store.path("mine") / "adapter_model.safetensors")
    copy = load_file(studio.store.path("back") / "adapter_model.safetensors")
    assert {name: each.tolist() for name, each in original.items()} == {n: e.tolist() for n, e in copy.items()}
    assert client.get("/adapters/none.zip").status_code == 404
    assert client.get("/adapters/..%2f..%2fkeys.zip").status_code == 404


def test_merging_makes_a_model_and_pushes_it(studio: Studio, page: gr.Blocks, hub: Hub) -> None:
    hub.login("hf_ada")
    said = handler(page, "adapters_page.merge.merge")(request_of(LOCAL_OWNER), "mine")
    folder = merged_models.folder_of(studio.home, "mine")
    assert str(folder) in said
    assert "in the cache" in overview(studio)
    assert 'href="/adapters/mine/merged.zip"' in overview(studio)
    assert "merged.zip" not in overview(studio, replace(BOB, only_published=False))
    client = TestClient(build_app(studio), base_url="http://127.0.0.1")
    whole = zipfile.ZipFile(io.BytesIO(client.get("/adapters/mine/merged.zip").content))
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= set(whole.namelist())
    assert whole.read("model.safetensors") == (folder / "model.safetensors").read_bytes()
    missing = client.get("/adapters/none/merged.zip")
    assert (missing.status_code, "no adapter named" in missing.text) == (404, True)
    (studio.store.path("mine") / "adapter_model.safetensors").touch()
    assert "Merge it" in client.get("/adapters/mine/merged.zip").json()["detail"], "it may be another adapter now"
    before, after = load_file(BASE_DIR / "model.safetensors"), load_file(folder / "model.safetensors")
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {f"{module}.weight" for module in LINEARS}
    elsewhere = User(Role.OWNER, "ada", "hub:ada", "hf_ada")
    assert str(folder) not in handler(page, "adapters_page.merge.merge")(request_of(elsewhere), "mine")
    said = handler(page, "adapters_page.merge.push")("mine", "ada/whole", False)
    assert f"({hub.url}/ada/whole)" in said
    assert "model.safetensors" in hub.head("ada/whole").files
    with pytest.raises(gr.Error, match="not a repository"):
        handler(page, "adapters_page.merge.push")("mine", "whole", False)


def test_a_merge_that_fails_says_why(studio: Studio, page: gr.Blocks, tmp_path: Path) -> None:
    studio.store.import_folder(write_adapter(tmp_path / "small"), "small")
    with pytest.raises(gr.Error, match="trained on another base"):
        handler(page, "adapters_page.merge.merge")(request_of(LOCAL_OWNER), "small")


def test_published_adapters_are_what_a_user_downloads(studio: Studio) -> None:
    from fastapi import FastAPI

    from studio.api import downloads
    from studio.auth.identity import SCOPE_KEY

    app = FastAPI()
    app.include_router(downloads.router(studio))

    async def as_bob(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, SCOPE_KEY: BOB}, receive, send)

    client = TestClient(as_bob)
    assert client.get("/adapters/mine.zip").status_code == 404
    PublishedAdapters(studio.home).set(studio.store.get("mine"), True)
    assert client.get("/adapters/mine.zip").status_code == 200


@pytest.mark.parametrize(
    ("event", "given", "where", "says"),
    [
        ("adapters_page.page.load", ("mine",), "change-failed", ("The engine is not there yet", "")),
        ("adapters_page.page.save", ("mine", "../x", "", ""), "change-failed", ("cannot be an adapter", "Use 1 to 64")),
        ("adapters_page.page.delete", ("gone",), "change-failed", ("no adapter named", "Adapters here: mine")),
        ("adapters_page.merge.merge", ("small",), "merge-failed", ("trained on another base", "")),
        (
            "adapters_page.merge.push",
            ("mine", "whole", False),
            "merge-failed",
            ("not a repository", "Write owner/name"),
        ),
        ("adapters_page.hub.pull", ("a b", "", ""), "pull-failed", ("not a repository", "Write owner/name")),
        (
            "adapters_page.hub.push",
            ("mine", "x", "Public", ""),
            "push-failed",
            ("not a repository", "Write owner/name"),
        ),
        (
            "adapters_page.hub.preview",
            (None, "", "Public", False),
            "push-failed",
            ("No adapter is chosen", "Choose one"),
        ),
        (
            "adapters_page.import_files.bring_in",
            (None, "", ""),
            "import-failed",
            ("Nothing was uploaded", "Choose a zip"),
        ),
        ("adapters_page.import_files.adopt", (), "import-failed", ("by hand", "Put one into")),
        ("compare.push_page.push_votes", ("x", False), "votes-failed", ("no vote yet", "Ask two columns")),
    ],
)
def test_what_fails_says_why_in_its_place_with_the_remedy(
    studio: Studio, page: gr.Blocks, tmp_path: Path, event: str, given: tuple, where: str, says: tuple[str, str]
) -> None:
    studio.store.import_folder(
        write_adapter(tmp_path / "small"), "small"
    ) if event == "adapters_page.merge.merge" else None
    asks_who = event in (
        "adapters_page.merge.merge",
        "adapters_page.hub.pull",
        "adapters_page.hub.push",
        "adapters_page.hub.preview",
        "adapters_page.import_files.bring_in",
    )
    called = handler(page, event, in_place=True)
    news = called(*([request_of(LOCAL_OWNER)] if asks_who else []), *given)
    (reason,) = [value for place, value in news.items() if place.elem_id == where]
    assert 'role="alert"' in reason
    assert all(each in reason for each in says)
    function = next(each for each in page.fns.values() if each.fn is called)
    assert set(news) <= set(function.outputs), "what it changes is there to be changed"
    assert all(value == "" for place, value in news.items() if place.elem_id != where), "an earlier success is gone"


def test_what_works_takes_the_old_failure_away(studio: Studio, page: gr.Blocks) -> None:
    assert handler(page, "adapters_page.page.save", in_place=True)("mine", "mine", "", "fine")[-1] == ""
    assert (
        handler(page, "adapters_page.hub.preview", in_place=True)(request_of(LOCAL_OWNER), "mine", "", "Public", False)[
            -1
        ]
        == ""
    )
    assert handler(page, "adapters_page.page.delete", in_place=True)(None)[-1] == "", (
        "a refused confirmation is no failure"
    )
    studio.store.get("mine")


def test_a_bug_tells_that_it_is_one_and_no_more(page: gr.Blocks) -> None:
    from studio.ui.failures import failure_html

    said = failure_html(KeyError("/home/ada/secret"))
    assert "unexpected" in said
    assert "secret" not in said
    assert "<img" not in failure_html(UserError("<img src=x>", "<img src=y> hf_abcdefgh12345678"))
    assert "hf_" not in failure_html(UserError("x", "hf_abcdefgh12345678"))
    assert "<code>hf auth login</code>" in failure_html(UserError("x", "Log in with `hf auth login`."))
    assert "<code>&lt;b&gt;</code>" in failure_html(UserError("x", "`<b>`"))

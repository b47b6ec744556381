"""A vLLM server in the engine's place: what is asked of it, in which order, and what a person gets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from core.common.home import Home
from core.common.redaction import MASK, masked
from core.models.builtin import BASE_DIR
from studio.adapters_page import same_base
from studio.adapters_page.overview import render_adapters
from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.engine.vllm_client import UNLOADED_FILES_SECONDS
from studio.page import build_page
from tests.adapters.folders import weights, write_adapter
from tests.app_process import poll
from tests.studio.conftest import handler, request_of
from tests.vllm_server import VllmServer

pytestmark = pytest.mark.slow

LINEARS = {"model.layers.0.self_attn.q_proj": (256, 256), "model.layers.3.mlp.up_proj": (704, 256)}
Make = Callable[..., None]


@pytest.fixture
def server() -> Iterator[VllmServer]:
    made = VllmServer(str(BASE_DIR))
    yield made
    made.stop()


@pytest.fixture
def studio(home: Home, server: VllmServer) -> Iterator[Studio]:
    engine = EngineSupervisor(home, "builtin", server.url)
    engine.start()
    assert engine.ready.wait(30)
    yield Studio.over(home, "builtin", engine)
    engine.stop()


@pytest.fixture
def make(studio: Studio, tmp_path: Path) -> Make:
    def made(name: str, *, linears: dict[str, tuple[int, int]] = LINEARS, rank: int = 4, **config: object) -> None:
        folder = write_adapter(tmp_path / name, tensors=weights(linears, rank), r=rank, **config)
        studio.store.import_folder(folder, name)
        shutil.rmtree(folder)

    return made


def ask(studio: Studio, model: str) -> tuple[str, str]:
    """(who answered, what)"""

    async def pieces() -> tuple[str, str]:
        said = [chunk async for chunk in studio.client.chat(model, [{"role": "user", "content": "Ahoy?"}])]
        return said[0].model, "".join(chunk.text for chunk in said)

    return asyncio.run(pieces())


def test_the_base_answers_under_one_name_whatever_the_server_calls_it(studio: Studio, server: VllmServer) -> None:
    assert studio.engine.status.base == "guanaco-builtin", "known by its fingerprint"
    assert ask(studio, "base") == ask(studio, "guanaco-builtin") == ("guanaco-builtin", "Aye.")
    assert server.calls == [f"ask {BASE_DIR}"] * 2


def test_an_adapter_is_brought_when_it_is_first_asked_for_and_once(
    studio: Studio, server: VllmServer, make: Make
) -> None:
    make("pirate")
    assert ask(studio, "pirate") == ("pirate", "Aye.")
    ask(studio, "pirate")
    assert server.calls == ["load pirate", "ask pirate", "ask pirate"]
    poll(lambda: "on the server" in render_adapters(studio), 10, "the card to say where it is")


def test_an_adapter_is_unloaded_when_it_is_deleted_renamed_or_replaced(
    studio: Studio, server: VllmServer, make: Make
) -> None:
    page = build_page(studio)
    for name in ("pirate", "radio"):
        make(name)
        ask(studio, name)
    poll(lambda: len(studio.engine.status.adapters) == 2, 10, "the server to say so")
    server.calls.clear()
    handler(page, "adapters_page.handlers.delete_adapter")("pirate")
    handler(page, "adapters_page.handlers.save_adapter")("radio", "news", "", "")
    assert server.calls == ["unload pirate", "unload radio"]
    assert not server.adapters
    make("pirate", rank=8)
    ask(studio, "pirate")
    studio.store.delete("pirate")  # as another process would
    make("pirate")
    server.calls.clear()
    ask(studio, "pirate")
    assert server.calls == ["unload pirate", "load pirate", "ask pirate"], "never in place"


def test_files_that_go_do_not_take_the_server_along(studio: Studio, server: VllmServer, make: Make) -> None:
    make("pirate")
    ask(studio, "pirate")
    shutil.rmtree(studio.store.path("pirate"))  # by hand, or a checkpoint that its run has replaced
    assert ask(studio, "pirate") == ("pirate", "Aye."), "as the server still has it"
    assert not server.dead
    old = Path(server.adapters["pirate"])
    studio.client.unload("pirate")
    make("radio")
    ask(studio, "radio")
    assert old.is_dir(), "an answer under way may still need them"
    aged = time.time() - UNLOADED_FILES_SECONDS - 1
    os.utime(old, (aged, aged))
    make("news")
    ask(studio, "news")
    assert not old.exists()
    assert all(Path(folder).is_dir() for folder in server.adapters.values())


def test_a_server_that_goes_and_comes_back_gets_its_adapters_again(
    studio: Studio, server: VllmServer, make: Make
) -> None:
    make("pirate")
    ask(studio, "pirate")
    server.stop()
    poll(lambda: not studio.engine.ready.is_set(), 10, "the studio to notice")
    assert "does not answer" in studio.engine.status.detail
    assert server.url not in studio.engine.status.detail, "visitors read this, too"
    with pytest.raises(UserError, match=r"The server of --engine-url does not answer .*Start it again"):
        ask(studio, "pirate")
    server.start()
    assert studio.engine.ready.wait(10)
    server.calls.clear()
    assert ask(studio, "pirate") == ("pirate", "Aye.")
    assert server.calls == ["load pirate", "ask pirate"]
    server.dead = True
    poll(lambda: not studio.engine.ready.is_set(), 10, "the studio to notice")
    assert "cannot answer" in studio.engine.status.detail


def test_what_the_server_refuses_is_told_in_words_with_what_to_do(
    studio: Studio, server: VllmServer, make: Make
) -> None:
    make("wide", rank=20)
    make("dora", use_dora=True)
    make("small", linears={"model.layers.0.self_attn.q_proj": (128, 64)})
    make("deep", linears={"model.layers.9.self_attn.q_proj": (256, 256)})
    make("foreign", base_model_name_or_path="ada/other")
    for name, words in {
        "wide": r"does not take wide: LoRA rank 20 is greater than max_lora_rank 16\. Start it with --max-lora-rank 32",
        "dora": "cannot be used here. It uses DoRA",
        "small": "made for a layer of 128 x 64; in guanaco-builtin that layer is 256 x 256",
        "deep": r"model\.layers\.9\.self_attn\.q_proj, which guanaco-builtin does not have",
        "foreign": "trained on ada/other; the base here is guanaco-builtin",
        "nobody": "`nobody` does not exist",
    }.items():
        with pytest.raises(UserError, match=words):
            ask(studio, name)
    assert server.calls == ["load wide", "ask nobody"], "it answers with other shapes as if they were right"


def test_an_adapter_of_the_servers_own_is_not_mistaken_for_one_here(
    studio: Studio, server: VllmServer, make: Make, tmp_path: Path
) -> None:
    make("pirate")
    server.adapters["pirate"] = "/somewhere/else"
    with pytest.raises(UserError, match="of its own, from elsewhere"):
        ask(studio, "pirate")
    assert not server.calls
    server.adapters["pirate"] = str(studio.store.path("pirate"))  # started with --lora-modules from this home
    ask(studio, "pirate")
    assert server.calls == ["unload pirate", "load pirate", "ask pirate"]


def test_the_owners_word_is_taken_where_shapes_fit_and_not_where_they_do_not(
    studio: Studio, make: Make, tmp_path: Path
) -> None:
    make("copied", base_model_name_or_path="ada/copy")
    make("small", linears={"model.layers.0.self_attn.q_proj": (128, 64)}, base_model_name_or_path="ada/copy")
    said = same_base.declare_same_base(studio, "copied").same_base
    assert said is not None and (said.made_for, said.base) == ("ada/copy", "guanaco-builtin")
    assert ask(studio, "copied") == ("copied", "Aye.")
    with pytest.raises(UserError, match="128 x 64"):
        same_base.declare_same_base(studio, "small")
    folder = write_adapter(tmp_path / "files", tensors=weights(LINEARS), base_model_name_or_path="ada/copy")
    bring_in = handler(build_page(studio), "adapters_page.import_files.import_adapter")
    said, *_ = bring_in(request_of(LOCAL_OWNER), None, str(folder), "imported", True)
    assert "for the base ada/copy, said to be a copy of guanaco-builtin" in said
    assert ask(studio, "imported") == ("imported", "Aye.")
    assert studio.store.get("small").same_base is None


def test_the_api_names_base_and_adapters_as_the_studio_does(studio: Studio, server: VllmServer, make: Make) -> None:
    make("pirate")
    make("wide", rank=20)
    body = {"messages": [{"role": "user", "content": "Ahoy?"}]}
    with TestClient(build_app(studio), base_url="http://127.0.0.1:7860") as web:
        listed = web.get("/v1/models")
        assert [model["id"] for model in listed.json()["data"]] == ["guanaco-builtin", "pirate", "wide"]
        whole = web.post("/v1/chat/completions", json={**body, "model": "base"})
        streamed = web.post("/v1/chat/completions", json={**body, "model": "guanaco-builtin", "stream": True})
        adapter = web.post("/v1/chat/completions", json={**body, "model": "pirate"})
        refused = web.post("/v1/chat/completions", json={**body, "model": "wide"})
        broken = web.post("/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"})
    assert whole.json()["model"] == "guanaco-builtin"
    chunks = [json.loads(line.removeprefix("data: ")) for line in streamed.text.split("\n\n")[:2]]
    assert [chunk["model"] for chunk in chunks] == ["guanaco-builtin"] * 2
    assert not any(str(BASE_DIR) in answer.text for answer in (listed, whole, streamed)), "no path of the machine"
    assert adapter.json()["model"] == "pirate"
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "adapter_unusable")
    assert broken.status_code >= 400


@pytest.mark.parametrize(
    ("updating", "server_home", "words"),
    [
        (False, None, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        (True, "/in/a/container", "does not find the files of pirate where .*--engine-home"),
    ],
)
def test_a_server_that_is_set_otherwise_says_what_to_set(
    home: Home, tmp_path: Path, updating: bool, server_home: str | None, words: str
) -> None:
    server = VllmServer("Qwen/Qwen2.5-0.5B-Instruct", served_name="mine", updating=updating)
    engine = EngineSupervisor(
        home, "unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit", f"{server.url}/v1", server_home=server_home
    )
    engine.start()
    assert engine.ready.wait(10)
    studio = Studio.over(home, engine.base, engine)
    folder = write_adapter(tmp_path / "a", base_model_name_or_path="qwen/qwen2.5-0.5b-instruct")
    studio.store.import_folder(folder, "pirate")
    with pytest.raises(UserError, match=words):
        ask(studio, "pirate")
    assert ask(studio, "base") == ("unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit", "Aye.")
    assert server.calls[-1] == "ask mine"
    studio.store.import_folder(write_adapter(tmp_path / "b", base_model_name_or_path="ada/copy"), "copied")
    with pytest.raises(UserError, match=r"shapes of .* are not known here"):
        same_base.declare_same_base(studio, "copied")
    engine.stop()
    server.stop()


def test_a_server_with_an_api_key_gets_it_and_says_when_it_is_another(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = VllmServer(str(BASE_DIR), key="key-of-the-server")
    without = EngineSupervisor(home, "builtin", server.url)
    without.start()
    poll(lambda: "STUDIO_ENGINE_KEY" in without.status.detail, 10, "the studio to say what to set")
    without.stop()
    monkeypatch.setenv("STUDIO_ENGINE_KEY", "key-of-the-server")
    engine = EngineSupervisor(home, "builtin", server.url)
    engine.start()
    assert engine.ready.wait(10)
    studio = Studio.over(home, "builtin", engine)
    assert ask(studio, "base") == ("guanaco-builtin", "Aye.")
    with TestClient(build_app(studio), base_url="http://127.0.0.1:7860") as web:
        body = {"model": "base", "messages": [{"role": "user", "content": "Ahoy?"}]}
        assert web.post("/v1/chat/completions", json=body).status_code == 200
    assert masked("its key is key-of-the-server") == f"its key is {MASK}"
    engine.stop()
    server.stop()

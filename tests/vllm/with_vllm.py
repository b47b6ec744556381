"""`make test-vllm`: the studio on a real vLLM server that serves the built-in base on this CPU.

Not a part of `make test`: it needs an environment of its own (gigabytes of packages) and a server that takes a minute
or two to start. pytest collects this file only when it is named.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from adapters.common.errors import UserError
from core.common.home import Home
from core.models.builtin import BASE_DIR
from studio.app import build_app
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.engine.vllm_client import KEY
from studio.page import build_page
from tests.core.serving import tiny
from tests.studio.conftest import handler

PYTHON = Path(os.environ.get("VLLM_PYTHON", ".venv-vllm/bin/python"))
START_SECONDS = 300.0
SLOTS = 2  # fewer than there are adapters, so that some are always out of its memory
QUESTION = "What is the capital of Cuba?"
HAVANA = "The capital of Cuba is Havana."
ENVIRONMENT = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "0",  # one core, which leaves one to the rest
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_API_KEY": "key-of-the-server",
}


class Server:
    """`vllm serve` on a port of its own."""

    def __init__(self, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url, self.log = f"http://127.0.0.1:{self.port}", log
        self.start()

    def start(self) -> None:
        command = [PYTHON.absolute(), "-m", "vllm.entrypoints.cli.main", "serve", str(BASE_DIR)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--max-model-len", "1024", "--enforce-eager"]
        command += ["--max-num-seqs", "4", "--enable-lora", "--max-loras", str(SLOTS), "--max-lora-rank", "16"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.log.parent,  # not the project's folder, whose packages it must not take for its own
                env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert PYTHON.exists(), f"There is no {PYTHON}: run `make test-vllm`, or name its Python in VLLM_PYTHON."
    made = Server(tmp_path_factory.mktemp("vllm") / "vllm.log")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random adapters of the built-in base: a, b, c and d, and `wide` with a rank that the server does not take."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate("abcd", 1):
        tiny.adapter(folder / name, BASE_DIR, seed=seed)
    tiny.adapter(folder / "wide", BASE_DIR, r=32)
    for config in folder.glob("*/adapter_config.json"):
        config.write_text(config.read_text().replace(str(BASE_DIR), "guanaco-builtin"))
    return folder


@pytest.fixture
def studio(home: Home, server: Server, adapters: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv(KEY, ENVIRONMENT["VLLM_API_KEY"])
    engine = EngineSupervisor(home, "builtin", server.url)
    engine.start()
    assert engine.ready.wait(START_SECONDS), f"{engine.status}\n{server.log.read_text()[-4000:]}"
    made = Studio.over(home, "builtin", engine)
    for folder in adapters.iterdir():
        made.store.import_folder(folder, folder.name)
    yield made
    for name in made.client.resident_adapters():
        made.client.unload(name)
    engine.stop()


def ask(studio: Studio, model: str) -> tuple[str, str]:
    """(who answered, what): greedy, 12 tokens at most."""

    async def pieces() -> tuple[str, str]:
        messages = [{"role": "user", "content": QUESTION}]
        said = [chunk async for chunk in studio.client.chat(model, messages, temperature=0, max_tokens=12)]
        return said[0].model, "".join(chunk.text for chunk in said)

    return asyncio.run(pieces())


def test_base_and_adapters_answer_each_under_their_own_name(studio: Studio) -> None:
    assert ask(studio, "base") == ("guanaco-builtin", HAVANA)
    said = {name: ask(studio, name) for name in "abcd"}
    assert all(said[name][0] == name for name in said)
    assert len({*(text for _, text in said.values()), HAVANA}) == 5, "five different answers"
    assert {name: ask(studio, name) for name in "abcd"} == said, "also when they were out of its memory"
    assert ask(studio, "base") == ("guanaco-builtin", HAVANA)


def test_adapters_that_are_deleted_renamed_or_replaced_leave_the_server_well(studio: Studio) -> None:
    page = build_page(studio)
    before = {name: ask(studio, name)[1] for name in "abcd"}
    shutil.rmtree(studio.store.path("a"))  # by hand: the server has put it out of its memory, and reads it again
    assert ask(studio, "a") == ("a", before["a"])
    handler(page, "adapters_page.handlers.delete_adapter")("b")
    handler(page, "adapters_page.handlers.save_adapter")("c", "renamed", "", "")
    assert ask(studio, "renamed") == ("renamed", before["c"])
    studio.store.delete("d")
    studio.store.rename("renamed", "d")  # another one under the name of one that the server has
    assert ask(studio, "d") == ("d", before["c"])
    with pytest.raises(UserError, match="`b` does not exist"):
        ask(studio, "b")
    assert ask(studio, "base") == ("guanaco-builtin", HAVANA)


def test_what_it_refuses_is_told_in_words(studio: Studio) -> None:
    words = r"does not take wide: LoRA rank 32 is greater than max_lora_rank 16\. Start it with --max-lora-rank 32\."
    with pytest.raises(UserError, match=words):
        ask(studio, "wide")
    assert ask(studio, "base") == ("guanaco-builtin", HAVANA)


def test_the_api_answers_in_the_studios_names(studio: Studio) -> None:
    body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 12}
    with TestClient(build_app(studio), base_url="http://127.0.0.1:7860") as web:
        whole = web.post("/v1/chat/completions", json={**body, "model": "base"})
        streamed = web.post("/v1/chat/completions", json={**body, "model": "base", "stream": True})
        adapter = web.post("/v1/chat/completions", json={**body, "model": "a"})
    assert whole.json()["choices"][0]["message"]["content"] == HAVANA
    assert whole.json()["model"] == "guanaco-builtin"
    assert '"model":"guanaco-builtin"' in streamed.text
    assert str(BASE_DIR) not in whole.text + streamed.text
    assert adapter.json()["model"] == "a"


def test_a_server_that_goes_and_comes_back_gets_its_adapters_again(studio: Studio, server: Server) -> None:
    before = ask(studio, "a")
    server.stop()
    with pytest.raises(UserError, match=r"does not answer .*Start it again"):
        ask(studio, "a")
    server.start()
    studio.engine.ready.clear()
    assert studio.engine.ready.wait(START_SECONDS), studio.engine.status
    assert ask(studio, "a") == before

"""The real process, spoken to by the official openai client and over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
from core.models.shared_weights.shared_base import SharedBase, open_base
from core.serving import service
from core.serving.__main__ import EXIT_FAULT, EXIT_USAGE, main
from core.serving.running_engine import ask_engine_memory
from tests.core.serving import tiny
from tests.core.serving.api.strange_requests import CHAT, OF_CHAT, OF_COMPLETIONS, PLAIN, SHARED, strange, written
from tests.core.serving.process import POLL_SECONDS, START_SECONDS, EngineProcess

pytestmark = pytest.mark.slow

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 8}
NEVER_ENDS: dict[str, Any] = {"max_tokens": 400, "temperature": 0, "extra_body": {"ignore_eos": True}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.base_folder(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def engine(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    root = tmp_path_factory.mktemp("server")
    home = Home.open(root / "home")
    store = AdapterStore(home.adapters)
    for i, name in enumerate(["pirate", "radio", "json"]):
        store.add(name, tiny.adapter(root / name, base, seed=i + 1), AdapterRecord(name, str(base)))
    other = tiny.adapter(root / "stranger", base, seed=9)
    config = (other / "adapter_config.json").read_text().replace(str(base), "somebody/else")
    (other / "adapter_config.json").write_text(config)
    store.add("stranger", other, AdapterRecord("stranger", "somebody/else"))
    checkpoint = home.runs / "r1" / "checkpoints" / "checkpoint-5"
    checkpoint.parent.mkdir(parents=True)
    tiny.adapter(checkpoint, base, seed=7)
    with EngineProcess(home.root, base, "--slots", "2", "--max-rows", "4", "--max-waiting", "12") as process:
        yield process.ready()


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def idle(engine: EngineProcess) -> dict[str, Any]:
    """Health once nothing runs or waits."""
    deadline = time.monotonic() + 60
    while (health := engine.health())["rows"] or health["waiting"]:
        assert time.monotonic() < deadline, health
        time.sleep(POLL_SECONDS)
    return health


def test_every_model_answers_in_its_own_way_and_says_who_it_is(client: openai.OpenAI, base: Path) -> None:
    said = {}
    for name in ("base", base.name, "pirate", "radio", "json"):
        answer = client.chat.completions.create(model=name, messages=HELLO, **GREEDY)
        assert answer.model == (base.name if name == "base" else name)
        said[answer.model] = answer.choices[0].message.content
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 8)
        assert answer.choices[0].finish_reason == "length"
        assert answer.model_extra is not None
        assert answer.model_extra["timings"]["time_to_first_token"] > 0
    assert len(set(said.values())) == 4


def test_models_lists_the_base_and_the_adapters_with_their_parent(client: openai.OpenAI, base: Path) -> None:
    models = {model.id: model.model_extra or {} for model in client.models.list()}
    assert {base.name, "pirate", "radio", "json", "stranger"} == set(models)
    assert models[base.name]["parent"] is None
    assert models["pirate"]["parent"] == base.name


def test_each_model_is_told_by_itself_too(client: openai.OpenAI, base: Path) -> None:
    assert client.models.retrieve("pirate").id == "pirate"
    assert client.models.retrieve("base").id == client.models.retrieve(base.name).id == base.name
    with pytest.raises(openai.NotFoundError, match=r"There is no model 'pirat'. Known: .*, pirate"):
        client.models.retrieve("pirat")


def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="pirate", messages=HELLO, **GREEDY)
    chunks = list(
        client.chat.completions.create(
            model="pirate", messages=HELLO, stream=True, stream_options={"include_usage": True}, **GREEDY
        )
    )
    assert {chunk.model for chunk in chunks} == {"pirate"}
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].model_extra is not None
    assert set(chunks[-1].model_extra["timings"]) == {"queue_seconds", "time_to_first_token", "tokens_per_second"}
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_four_columns_stream_at_once_from_the_async_client(engine: EngineProcess, client: openai.OpenAI) -> None:
    names = ["base", "pirate", "radio", "json"]
    expected = {
        name: client.chat.completions.create(model=name, messages=HELLO, **GREEDY).choices[0].message.content
        for name in names
    }

    async def column(asked: openai.AsyncOpenAI, name: str) -> str:
        stream = await asked.chat.completions.create(model=name, messages=HELLO, stream=True, **GREEDY)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_columns() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key="none") as asked:
            return await asyncio.gather(*(column(asked, name) for name in names))

    assert dict(zip(names, asyncio.run(all_columns()), strict=True)) == expected


def test_n_seeds_and_logprobs(client: openai.OpenAI) -> None:
    def ask() -> Any:
        return client.chat.completions.create(
            model="radio", messages=HELLO, n=3, seed=5, max_tokens=6, logprobs=True, top_logprobs=2
        )

    answer = ask()
    texts = [choice.message.content for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert [choice.message.content for choice in ask().choices] == texts
    content = answer.choices[0].logprobs.content
    assert len(content) <= 6
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in content)


def test_plain_completions_take_text_and_token_ids(client: openai.OpenAI) -> None:
    prompts: Any = ["Once", [6, 7, 8]]
    answer = client.completions.create(model="base", prompt=prompts, n=2, **GREEDY)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text == answer.choices[1].text != answer.choices[2].text
    chunks = list(client.completions.create(model="base", prompt="Once", stream=True, logprobs=1, **GREEDY))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text
    logprobs = [chunk.choices[0].logprobs for chunk in chunks]
    assert sum(len(each.tokens or []) for each in logprobs if each is not None) == 8


def test_a_system_prompt_changes_the_answer(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="base", messages=HELLO, **GREEDY)
    system: list[Any] = [{"role": "system", "content": "Be brief."}, *HELLO]
    assert (
        client.chat.completions.create(model="base", messages=system, **GREEDY).choices[0].message.content
        != plain.choices[0].message.content
    )


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        ({"model": "pirat"}, "model", "There is no model 'pirat'. Known: .*json, pirate, radio, stranger"),
        ({"model": "stranger"}, "model", "trained on somebody/else"),
        ({"max_tokens": 600}, "messages", "at most 512"),
        ({"messages": []}, "messages", "at least one"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]", "must be one of system, user, assistant"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0]",
            "parts of the type text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "text": "x"}]}]},
            "messages[0]",
            "parts of the type text",
        ),
        ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "calls no tools"),
        ({"temperature": -1}, "temperature", "between 0 and 2"),
        ({"temperature": "hot"}, "temperature", "must be a number"),
        ({"n": 1000}, "n", "between 1 and 16"),
        ({"n": 7}, "n", "at most 6"),
        ({"stop": [""]}, "stop", "none of them empty"),
        ({"extra_body": {"temprature": 1}}, "temprature", "Unrecognized"),
        ({"extra_body": {"stop_token_ids": [99999]}}, "stop_token_ids", "no token 99999"),
        (
            {"extra_body": {"chat_template_kwargs": {"chat_template": "x"}}},
            "chat_template_kwargs",
            "may hold date_string",
        ),
        ({"messages": [{"role": "user", "content": "x" * 10_000}]}, "messages", "10,000 characters cannot fit"),
        ({"top_logprobs": 3}, "top_logprobs", "needs logprobs"),
        ({"logit_bias": {"5": 1000}}, "logit_bias", "-100 to 100"),
    ],
)
def test_what_cannot_be_answered_gets_a_plain_error(
    client: openai.OpenAI, change: dict[str, Any], param: str | None, says: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        body: dict[str, Any] = {"model": "base", "messages": HELLO, "max_tokens": 4}
        client.chat.completions.create(**(body | change))
    assert caught.value.status_code == (404 if change.get("model") == "pirat" else 400)
    assert re.search(says, caught.value.message)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b"[" * 10_000, b"[" * 100_000, b'{"model": NaN}', b'{"model": "\\ud83d"}']
)
def test_a_body_that_is_no_json_object_is_refused(engine: EngineProcess, body: bytes) -> None:
    answer = httpx.post(
        f"{engine.url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}, timeout=60
    )
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@settings(max_examples=60)
@given(st.one_of(strange(CHAT, SHARED + OF_CHAT), strange(PLAIN, SHARED + OF_COMPLETIONS)))
def test_a_strange_request_is_answered_or_refused_in_openais_shape(engine: EngineProcess, body: dict[str, Any]) -> None:
    body = {"max_tokens": 2} | body
    path = "chat/completions" if "messages" in body else "completions"
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{engine.url}/v1/{path}", content=written(body), headers=headers, timeout=60)
    if answer.status_code != 200:
        assert answer.status_code in (400, 404)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    elif not body.get("stream"):
        assert answer.json()["choices"]


def test_only_this_machines_names_and_json_are_answered(engine: EngineProcess) -> None:
    assert httpx.get(f"{engine.url}/health", headers={"Host": "evil.example"}).status_code == 400
    form = httpx.post(f"{engine.url}/v1/unload_lora_adapter", content=b'{"lora_name": "pirate"}')
    assert "application/json" in form.json()["error"]["message"]
    assert httpx.get(f"{engine.url}/v1/nothing").json()["error"]["message"] == "There is no GET /v1/nothing here."


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_row(engine: EngineProcess, stream: bool) -> None:
    cancelled = _metric(engine, 'guanaco_completions_total{end="cancelled"}')
    body = {"model": "pirate", "messages": HELLO, "stream": stream, "max_tokens": 490, "ignore_eos": True}
    busy = ChatActivity(Home(engine.home))
    with socket.create_connection(("127.0.0.1", httpx.URL(engine.url).port or 0)) as connection:
        content = httpx.Request("POST", "http://127.0.0.1/", json=body).content
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        if stream:
            connection.recv(1)
        while busy.answers() != 1:  # what makes a training run yield
            time.sleep(POLL_SECONDS)
    idle(engine)
    while busy.answers():
        time.sleep(POLL_SECONDS)
    assert _metric(engine, 'guanaco_completions_total{end="cancelled"}') == cancelled + 1


def test_a_full_queue_answers_429_with_retry_after_and_others_still_come_in(engine: EngineProcess) -> None:
    async def crowd() -> tuple[list[int], Any]:
        async with openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as asked:
            streams = await asyncio.gather(
                *(
                    asked.chat.completions.create(model="base", messages=HELLO, stream=True, user="crowd", **NEVER_ENDS)
                    for _ in range(14)
                ),
                return_exceptions=True,
            )
            other = await asked.chat.completions.create(
                model="base", messages=HELLO, user="other", stream=True, **GREEDY
            )
            refused = [each for each in streams if isinstance(each, openai.RateLimitError)]
            for stream in (*streams, other):
                if isinstance(stream, openai.AsyncStream):
                    await stream.close()
            return [int(each.response.headers["Retry-After"]) for each in refused], other

    retry_after, other = asyncio.run(crowd())
    assert len(retry_after) >= 14 - 4 - 6  # four rows run, six of one client may wait
    assert all(1 <= seconds <= 60 for seconds in retry_after)
    assert other is not None
    idle(engine)


def test_adapters_are_loaded_replaced_and_unloaded_by_hand(engine: EngineProcess, client: openai.OpenAI) -> None:
    def admin(action: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{engine.url}/v1/{action}_lora_adapter", json=body, timeout=60)

    checkpoint = engine.home / "runs" / "r1" / "checkpoints" / "checkpoint-5"
    assert admin("load", lora_name="r1-now", lora_path=str(checkpoint)).json()["where"] == "slot"
    first = client.chat.completions.create(model="r1-now", messages=HELLO, **GREEDY)
    assert first.model == "r1-now"
    assert {"name": "r1-now", "where": "slot"} in engine.health()["adapters"]

    radio = str(engine.home / "adapters" / "radio")
    taken = admin("load", lora_name="r1-now", lora_path=radio)
    assert (taken.status_code, "another adapter" in taken.json()["error"]["message"]) == (400, True)
    assert admin("load", lora_name="r1-now", lora_path=radio, load_inplace=True).status_code == 200
    replaced = client.chat.completions.create(model="r1-now", messages=HELLO, **GREEDY)
    as_radio = client.chat.completions.create(model="radio", messages=HELLO, **GREEDY)
    assert replaced.choices[0].message.content == as_radio.choices[0].message.content
    assert replaced.choices[0].message.content != first.choices[0].message.content

    assert admin("unload", lora_name="r1-now").status_code == 200
    assert admin("unload", lora_name="r1-now").status_code == 404
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="r1-now", messages=HELLO, **GREEDY)
    for path in ("/etc", str(engine.home), str(engine.home / "adapters" / ".." / ".." / "tiny"), "radio"):
        refused = admin("load", lora_name="spy", lora_path=path)
        assert (refused.status_code, "not under the home" in refused.json()["error"]["message"]) == (400, True)
    assert admin("load", lora_name="base", lora_path=radio).status_code == 400
    assert admin("load", lora_name="x").status_code == 400


def test_a_checkpoint_that_its_run_has_removed_is_missing_and_no_fault(
    engine: EngineProcess, client: openai.OpenAI
) -> None:
    kept = engine.home / "runs" / "r1" / "checkpoints" / "checkpoint-5"
    gone = kept.with_name("checkpoint-4")
    shutil.copytree(kept, gone)
    body = {"lora_name": "r1-gone", "lora_path": str(gone)}
    assert httpx.post(f"{engine.url}/v1/load_lora_adapter", json=body, timeout=60).status_code == 200
    shutil.rmtree(gone)
    assert "r1-gone" not in [model.id for model in client.models.list()]
    with pytest.raises(openai.BadRequestError, match="checkpoint-4 is not whole"):
        client.chat.completions.create(model="r1-gone", messages=HELLO, **GREEDY)
    unload = {"lora_name": "r1-gone"}
    assert httpx.post(f"{engine.url}/v1/unload_lora_adapter", json=unload, timeout=60).status_code == 200


def test_an_adapter_that_changes_on_disk_is_read_anew(engine: EngineProcess, client: openai.OpenAI) -> None:
    folder = engine.home / "adapters"
    shutil.copytree(folder / "pirate", folder / ".copy")
    (folder / ".copy").rename(folder / "changing")
    first = client.chat.completions.create(model="changing", messages=HELLO, **GREEDY)
    fresh = folder / "changing" / ".fresh"
    shutil.copy(folder / "json" / "adapter_model.safetensors", fresh)
    fresh.replace(folder / "changing" / "adapter_model.safetensors")
    second = client.chat.completions.create(model="changing", messages=HELLO, **GREEDY)
    as_json = client.chat.completions.create(model="json", messages=HELLO, **GREEDY)
    assert second.choices[0].message.content == as_json.choices[0].message.content
    assert second.choices[0].message.content != first.choices[0].message.content

    weights = folder / "changing" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(openai.BadRequestError, match="truncated"):
        client.chat.completions.create(model="changing", messages=HELLO, **GREEDY)
    shutil.rmtree(folder / "changing")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="changing", messages=HELLO, **GREEDY)


def test_an_adapter_called_like_the_base_is_not_answered_for_by_it(
    engine: EngineProcess, client: openai.OpenAI, base: Path
) -> None:
    twin = engine.home / "adapters" / base.name
    shutil.copytree(engine.home / "adapters" / "pirate", twin)
    with pytest.raises(openai.BadRequestError, match="Both the base and an adapter are called"):
        client.chat.completions.create(model=base.name, messages=HELLO, **GREEDY)
    assert client.chat.completions.create(model="base", messages=HELLO, **GREEDY).model == base.name
    shutil.rmtree(twin)


def test_metrics_are_prometheus_text_and_move(engine: EngineProcess, client: openai.OpenAI) -> None:
    before = _metric(engine, "guanaco_output_tokens_total")
    client.chat.completions.create(model="base", messages=HELLO, **GREEDY)
    assert _metric(engine, "guanaco_output_tokens_total") == before + 8
    answer = httpx.get(f"{engine.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    line = re.compile(r'(# (HELP|TYPE) \w+ .+)|(\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [-+0-9.e]+)')
    assert all(line.fullmatch(each) for each in answer.text.splitlines())
    for name in (
        "waiting",
        "rows",
        "kv_tokens",
        "adapters",
        "time_to_first_token_seconds_bucket",
        "output_tokens_total",
    ):
        assert f"guanaco_{name}" in answer.text


def test_usage_says_how_much_of_the_prompt_was_in_the_cache(engine: EngineProcess, client: openai.OpenAI) -> None:
    story = [{"role": "user", "content": "a long story " * 8}]

    def cached_tokens(messages: list[Any], **settings: Any) -> int:
        usage = client.chat.completions.create(model="radio", messages=messages, **GREEDY | settings).usage
        assert usage is not None and usage.prompt_tokens_details is not None
        return int(usage.prompt_tokens_details.cached_tokens or 0)

    assert cached_tokens(story) == 0
    hits = _metric(engine, "guanaco_prefix_cache_hits_total")
    again = cached_tokens(story, n=3)
    assert again == len("a long story " * 8) + 3  # all but the prompt's last token
    assert _metric(engine, "guanaco_prefix_cache_hits_total") == hits + 3 * again
    assert cached_tokens(story, user="somebody else") == 0
    assert cached_tokens(story, n=3, user="a third") == 0  # read for the first choice
    assert idle(engine)["kv_tokens"]["kept"] > again


def test_the_engine_tells_what_memory_it_has_and_may_still_take(engine: EngineProcess, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="base", messages=HELLO, **GREEDY)
    told = ask_engine_memory(Home(engine.home))
    assert told is not None and told.weights == idle(engine)["choices"]["weights"]["value"]
    assert 0 < told.kv_filled < told.kv_budget == idle(engine)["kv_tokens"]["budget"]
    assert told.still_to_come == (told.kv_budget - told.kv_filled) * told.kv_bytes_per_token
    assert ask_engine_memory(Home(engine.home.parent)) is None


def _metric(engine: EngineProcess, name: str) -> float:
    text = httpx.get(f"{engine.url}/metrics", timeout=30).text
    return float(next(line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)))


def test_the_process_says_where_it_is_before_the_base_is_loaded_and_ends_cleanly(tmp_path: Path, base: Path) -> None:
    home = Home.open(tmp_path / "h")
    with EngineProcess(home.root, base) as process:
        known = process.readiness
        health = process.health()
        assert health["status"] == "loading"
        assert (health["pid"], health["instance"], health["base"]) == (
            process.process.pid,
            known["instance"],
            base.name,
        )
        early = httpx.post(f"{process.url}/v1/chat/completions", json={"model": "base", "messages": HELLO})
        assert (early.status_code, int(early.headers["Retry-After"]) > 0) == (503, True)
        assert early.json()["error"]["code"] == "loading"
        port = str(httpx.URL(process.url).port)
        with EngineProcess(Home.open(tmp_path / "other" / "h").root, base, "--port", port) as second:
            assert second.process.wait(START_SECONDS) == EXIT_USAGE
            assert "cannot listen" in second.log
        process.ready()
        assert process.stop() == 0
    assert not (home.processes / "engine.json").exists()


def served_here(arguments: list[str], home: Home, client: Callable[[str], None]) -> int:
    """Run the program in this process (its imports are done) while `client` talks to it; the exit code."""
    failures: list[BaseException] = []

    def talk() -> None:
        try:
            while not (home.processes / "engine.json").exists():
                time.sleep(POLL_SECONDS)
            url = json.loads((home.processes / "engine.json").read_text())["url"]
            while httpx.get(f"{url}/health", timeout=60).json()["status"] == "loading":
                time.sleep(POLL_SECONDS)
            client(url)
        except BaseException as error:
            failures.append(error)
        if (home.processes / "engine.json").exists():
            os.kill(os.getpid(), signal.SIGTERM)

    talker = threading.Thread(target=talk)
    talker.start()
    code = main([*arguments, "--home", str(home.root)])
    talker.join()
    assert not failures, failures
    return code


def test_a_device_fault_ends_the_process_with_its_own_code(
    home: Home, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forward that fails as a broken card makes it fail."""
    opened = open_base

    def broken_later(*args: Any, **kwargs: Any) -> SharedBase:
        shared = opened(*args, **kwargs)

        def fault(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if kwargs["input_ids"].tolist() == [[55, 56]]:
                raise torch.AcceleratorError("CUDA error: device-side assert triggered", 710)

        shared.model.register_forward_pre_hook(fault, with_kwargs=True)
        return shared

    monkeypatch.setattr(service, "open_base", broken_later)

    def client(url: str) -> None:
        answer = httpx.post(f"{url}/v1/completions", json={"model": "base", "prompt": [55, 56]}, timeout=60)
        assert (answer.status_code, "engine has failed" in answer.json()["error"]["message"]) == (500, True)

    assert served_here(["--base", str(base), "--weights", "exact"], home, client) == EXIT_FAULT
    assert not (home.processes / "engine.json").exists()


def test_a_base_that_cannot_be_loaded_is_told_in_health(home: Home, base: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(base, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")

    def client(url: str) -> None:
        health = httpx.get(f"{url}/health").json()
        assert health["status"] == "failed"
        assert "The base broken could not be loaded" in health["detail"]
        assert str(tmp_path) not in json.dumps(health)
        answer = httpx.get(f"{url}/v1/models")
        assert (answer.status_code, "could not be loaded" in answer.json()["error"]["message"]) == (503, True)

    assert served_here(["--base", str(broken)], home, client) == 0


def test_a_wrong_base_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", str(tmp_path), "--home", str(tmp_path / "home")]) == EXIT_USAGE
    assert "not a model folder" in capsys.readouterr().err

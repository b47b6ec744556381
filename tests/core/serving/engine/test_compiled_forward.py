"""All layers in one compiled call: it gives what the model gives, for every row and whatever is beside it."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from core.models.base import load_model
from core.serving.engine import compiled_forward
from core.serving.engine.build import build_engine
from core.serving.engine.model_check import check_against_model
from core.serving.kernels import runtime
from core.serving.settings import EngineSettings
from tests.core.serving import tiny
from tests.core.serving.running import Running

pytestmark = pytest.mark.skipif(bool(runtime.why_not()), reason=f"no compiled kernels: {runtime.why_not()}")
COMPILED = [family for family in tiny.FAMILIES if family.split("-")[0] in runtime.FAMILIES]
WIDE: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128}  # whole blocks of NF4


def four_bit(folder: Path, **config: Any) -> Any:
    return load_model(tiny.source(tiny.base_folder(folder, **WIDE, **config)))


@pytest.mark.parametrize("family", COMPILED)
def test_chunks_and_steps_give_the_models_logits(family: str) -> None:
    with Running(tiny.model(family), weights="nf4", max_rows=8) as running:
        forward, length = running.engine.forward, running.engine.max_length
        assert forward.compiled is not None
        running.engine.call(lambda: check_against_model(forward, length, tolerance=2e-3)).result()


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3"])
def test_a_long_prompt_in_pieces_gives_the_models_logits(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_forward, "FIRST_ANGLES", 8)
    monkeypatch.setattr(compiled_forward, "PIECE", 100)
    model = tiny.model(family)
    prompt = random.Random(0).choices(range(10, 200), k=333)
    with Running(model, weights="nf4", prefill_chunk=250) as running:
        reader = running.ask(prompt, max_tokens=3, logprobs=1)
        said = [output.sampled.logprob for output in reader.ended().outputs if output.sampled is not None]
        tokens = reader.tokens
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    assert said == pytest.approx(logits.gather(-1, torch.tensor(tokens)[:, None])[:, 0].tolist(), abs=2e-3)


def test_a_four_bit_base_is_compiled_by_itself_and_its_codes_stay_where_they_are(tmp_path: Path) -> None:
    model = four_bit(tmp_path)
    codes = model.model.layers[0].mlp.down_proj.weight.data
    built = build_engine(model, tiny.tokenizer(), EngineSettings())
    assert (built.choices["weights"].value, built.choices["forward"].value) == ("nf4", "compiled")
    assert model.model.layers[0].mlp.down_proj.parts[0].codes.data_ptr() == codes.data_ptr()


@pytest.mark.parametrize(
    ("family", "config", "reason"),
    [
        ("llama", {"hidden_act": "gelu"}, "activation is gelu"),
        ("phi3", {"partial_rotary_factor": 0.5}, "part of each head"),
        ("gemma2", {}, "family gemma2"),
    ],
)
def test_what_calculates_in_another_way_is_not_compiled(family: str, config: dict[str, Any], reason: str) -> None:
    model = tiny.model(family, **config)
    assert reason in compiled_forward.why_not_compiled(model)
    built = build_engine(model, tiny.tokenizer(), EngineSettings(weights="nf4"))
    assert built.choices["forward"].value == "operators" and reason in built.choices["forward"].reason


def test_without_the_kernels_another_form_is_chosen_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "why_not", lambda: "the processor has no AVX2")
    built = build_engine(four_bit(tmp_path), tiny.tokenizer(), EngineSettings())
    assert built.choices["weights"].value != "nf4" and "nf4" not in built.choices["weights"].reason
    assert built.choices["forward"].value == "operators"


@pytest.mark.parametrize("keeps_prefixes", [False, True])
def test_a_row_says_bit_for_bit_the_same_alone_and_among_others(tmp_path: Path, keeps_prefixes: bool) -> None:
    """Adapters of several ranks come and go meanwhile, so that the slots grow and move."""
    folders = [
        tiny.adapter(tmp_path / f"a{rank}", tiny.model("llama", **WIDE), seed=rank, r=rank) for rank in (2, 8, 24)
    ]
    prompts = [random.Random(seed).choices(range(10, 200), k=length) for seed, length in enumerate((3, 17, 40, 70))]
    model = four_bit(tmp_path / "base", num_hidden_layers=2)
    clients = itertools.repeat("one") if keeps_prefixes else map(str, itertools.count())  # prefixes are a client's own
    with Running(model, slots=2, max_rows=6) as running:
        adapters = [None, *(running.read(folder) for folder in folders)]
        asked = [(prompt, adapter) for prompt in prompts for adapter in adapters]

        def ask(prompt: list[int], adapter: Any) -> Any:
            return running.ask(prompt, adapter, max_tokens=8, logprobs=2, client=next(clients))

        def said(reader: Any) -> list[Any]:
            return [output.sampled for output in reader.ended().outputs if output.sampled is not None]

        alone = [said(ask(*each)) for each in asked]
        order = random.Random(1).sample(range(len(asked)), len(asked))
        together = {i: ask(*asked[i]) for i in order}
        assert [said(together[i]) for i in range(len(asked))] == alone
        first_answers = {tuple(sample.token for sample in samples) for samples in alone[:4]}
    assert len(first_answers) == 4, "the adapters differ"


def test_a_row_whose_logits_are_no_numbers_leaves_the_others(tmp_path: Path) -> None:
    model = tiny.model("llama", **WIDE)
    folder = tiny.adapter(tmp_path / "a", model, seed=1)
    with Running(model, weights="nf4", max_rows=3) as running:
        adapter = running.read(folder)
        expected = running.ask([1, 3, 70], max_tokens=6).tokens
        for a, b in adapter.pairs.values():
            a.fill_(3e38), b.fill_(3e38)
        wrong, right = running.ask([1, 3, 70], adapter, max_tokens=6), running.ask([1, 3, 70], max_tokens=6)
        assert wrong.error is not None
        assert right.tokens == expected

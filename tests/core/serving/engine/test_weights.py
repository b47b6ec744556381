"""The forms in which the engine keeps the base's weights: what each changes, and which one it chooses and why."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn

from adapters.common.errors import UserError
from core.data.samples import SAMPLES
from core.models.base import load_model, load_tokenizer, resolve
from core.serving.engine import weights
from core.serving.engine.linear_forms import FEW_ROWS, BatchedLinear, ConvertedLinear, ExactLinear, Int8Linear
from core.serving.engine.weights import (
    FORMS,
    FormSpeed,
    add_batched,
    choose_batched,
    choose_weights,
    convert_weights,
    fastest,
    linear_layers,
)
from tests.core.serving import tiny
from tests.core.serving.running import Running
from tests.sweeps import sweep

CPU = torch.device("cpu")
CHANGING = [form for form in FORMS if form != "exact"]
# What a form may do to the log-probability of a token, at most and on average.
LARGEST = {"fp16": 0.02, "nf4": 0.3, "bf16": 0.4, "int8": 0.6}
MEAN = {"fp16": 0.001, "nf4": 0.015, "bf16": 0.02, "int8": 0.04}
WIDE: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96}  # shapes that every form can take
TOLERANCES = {BatchedLinear: 1e-5} | dict(zip(FORMS.values(), (1e-5, 2e-3, 1e-2, 2e-2, 2e-2), strict=True))
PROMPT = [1, 3, 70, 71, 72, 80, 90]

# What a layer of each form gives


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kind", "tolerance"), TOLERANCES.items())
def test_a_layer_gives_nearly_the_exact_product(kind: type[ConvertedLinear], tolerance: float, bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(512, 1024, bias=bias).requires_grad_(False)
    layer = kind.of([plain], torch.float32)
    for rows in (1, 3, FEW_ROWS + 1):
        x = torch.randn(rows, 1, 512)
        with torch.inference_mode():
            product, expected = layer(x), plain(x)
        assert (product.shape, product.dtype) == (expected.shape, expected.dtype), rows
        assert (product - expected).norm() <= tolerance * expected.norm(), rows


@pytest.mark.parametrize("kind", FORMS.values())
def test_a_row_that_is_no_number_spoils_no_other(kind: type[ConvertedLinear]) -> None:
    torch.manual_seed(0)
    layer, x = kind.of([nn.Linear(64, 96, bias=False)], torch.float32), torch.randn(4, 1, 64)
    with torch.inference_mode():
        expected = layer(x)
        for wrong in (float("nan"), float("inf")):
            x[2] = wrong
            product = layer(x)
            assert not product[2].isfinite().any(), "what is wrong is seen in the logits, where the engine looks for it"
            torch.testing.assert_close(product[[0, 1, 3]], expected[[0, 1, 3]])


def test_a_row_of_zeros_has_an_int8_form() -> None:
    weight = torch.randn(8, 32)
    weight[3] = 0
    with torch.inference_mode():
        assert Int8Linear(weight, None)(torch.randn(2, 32))[:, 3].eq(0).all()


# What a form changes of a whole base


def held_out_text(tokenizer: Any, conversations: int = 60) -> list[Tensor]:
    """Conversations of the radio sample in the base's own chat format, as token ids."""
    texts = []
    for line in islice(SAMPLES["radio"].path.open(), conversations):
        said = [part.strip() for part in json.loads(line)["text"].split("###") if part.strip()]
        messages = [
            {"role": {"Human": "user", "Assistant": "assistant"}[who], "content": what.strip()}
            for who, what in (part.split(":", 1) for part in said)
        ]
        texts.append(torch.tensor(tokenizer.apply_chat_template(messages, return_dict=False)))
    return texts


@torch.inference_mode()
def log_probabilities(model: Any, texts: list[Tensor]) -> Tensor:
    """Of each text's next tokens, all texts behind one another."""
    found = []
    for text in texts:
        predicted = model(input_ids=text[None]).logits[0, :-1].log_softmax(-1)
        found.append(predicted.gather(-1, text[1:, None])[:, 0])
    return torch.cat(found)


@pytest.fixture(scope="module")
def builtin_texts() -> list[Tensor]:
    return held_out_text(load_tokenizer(resolve("builtin")))


@pytest.fixture(scope="module")
def exact_on_builtin(builtin_texts: list[Tensor]) -> Tensor:
    model = load_model(resolve("builtin"))
    convert_weights(model, "exact")
    return log_probabilities(model, builtin_texts)


@pytest.mark.slow
@pytest.mark.parametrize("form", CHANGING)
def test_the_builtin_bases_perplexity_stays_within_half_a_percent(
    form: str, builtin_texts: list[Tensor], exact_on_builtin: Tensor
) -> None:
    model = load_model(resolve("builtin"))
    convert_weights(model, form)
    found = log_probabilities(model, builtin_texts)
    change = (found - exact_on_builtin).abs()
    assert change.max() <= LARGEST[form] and change.mean() <= MEAN[form], (change.max(), change.mean())
    assert abs(math.exp(-found.mean()) / math.exp(-exact_on_builtin.mean()) - 1) <= 0.005


@dataclass(frozen=True)
class FamilyMember:
    """A tiny base of a family, two adapters for it, and what they say exactly."""

    family: str
    adapters: list[Path]
    exact: list[Answer]


Answer = tuple[list[int], list[float]]  # tokens and their log-probabilities


@pytest.fixture(scope="module", params=sweep(tiny.FAMILIES, fast=("llama", "gemma2")))
def member(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FamilyMember:
    family, folder = request.param, tmp_path_factory.mktemp(request.param)
    adapters = [tiny.adapter(folder / f"{seed}", tiny.model(family, **WIDE), seed=seed) for seed in (1, 2)]
    return FamilyMember(family, adapters, answers(family, adapters, "exact"))


def answers(family: str, adapters: list[Path], form: str) -> list[Answer]:
    """Of base and adapter rows of one batch, the adapter exchanged in between."""
    with Running(tiny.model(family, **WIDE), weights=form, max_rows=3, slots=1) as running:
        found = []
        for adapter in (running.read(folder) for folder in adapters):
            readers = [running.ask(PROMPT, each, max_tokens=6, logprobs=1) for each in (None, adapter)]
            for reader in readers:
                sampled = [output.sampled for output in reader.ended().outputs if output.sampled is not None]
                found.append((reader.tokens, [each.logprob for each in sampled if each.logprob is not None]))
    return found


@pytest.mark.parametrize("form", CHANGING)
def test_every_family_answers_in_every_form_with_base_adapters_and_hot_swap(member: FamilyMember, form: str) -> None:
    assert member.exact[1] != member.exact[3], "the adapters differ"
    changed = answers(member.family, member.adapters, form)
    for (exact_tokens, exact_logprobs), (tokens, logprobs) in zip(member.exact, changed, strict=True):
        assert logprobs and abs(logprobs[0] - exact_logprobs[0]) <= LARGEST[form]
        if form == "fp16":
            assert tokens == exact_tokens


# Which form is chosen, and why


def test_layers_of_a_shape_that_a_form_cannot_take_are_exact() -> None:
    model = tiny.model("llama", hidden_size=64, intermediate_size=80)
    convert_weights(model, "int8")
    mlp = model.model.layers[0].mlp
    assert isinstance(mlp.up_proj, Int8Linear)
    assert not isinstance(mlp.down_proj, Int8Linear), "the kernel would read past the end of rows of 80"
    with pytest.raises(UserError, match="no multiple of 32"):
        choose_weights(tiny.model("llama"), "int8", CPU)


def test_a_form_is_refused_where_the_base_does_not_calculate_in_float32() -> None:
    with pytest.raises(UserError, match="float32"):
        choose_weights(tiny.model("llama", **WIDE).to(torch.bfloat16), "fp16", CPU)


def test_the_fastest_is_chosen_and_a_less_exact_one_must_be_clearly_faster() -> None:
    def speeds(**milliseconds: tuple[float, float]) -> dict[str, FormSpeed]:
        return {form: FormSpeed(milliseconds[form]) for form in FORMS if form in milliseconds}

    assert fastest(speeds(exact=(26, 36), fp16=(20, 30), bf16=(11, 14), int8=(4.7, 8.0))) == "int8"
    assert fastest(speeds(exact=(36, 62), fp16=(20, 33), bf16=(26, 182), int8=(21, 50))) == "fp16"
    assert fastest(speeds(exact=(1.0, 1.0), fp16=(0.9, 0.9))) == "exact"


@pytest.fixture
def no_compiled_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a family whose forward is not one compiled call."""
    monkeypatch.setattr(weights, "why_not_compiled", lambda model: "another family")


def quantised(folder: Path) -> Any:
    return load_model(tiny.source(tiny.base_folder(folder, **WIDE)))


@pytest.mark.usefixtures("no_compiled_forward")
def test_the_choice_measures_and_says_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = quantised(tmp_path)
    times = {"exact": (9.0, 9.0), "fp16": (3.0, 4.0), "nf4": (3.0, 4.0), "bf16": (3.0, 4.0), "int8": (3.0, 4.0)}
    measured = {form: FormSpeed(figures) for form, figures in times.items()}
    with monkeypatch.context() as patch:
        patch.setattr(weights, "measure_forms", lambda layers, forms: {form: measured[form] for form in forms})
        choice = choose_weights(model, "auto", CPU)
    assert choice.value == "fp16" and "exact 9.0 / 9.0, fp16 3.0 / 4.0" in choice.reason
    really = weights.measure_forms(linear_layers(model), list(FORMS))
    assert all(ms > 0 for speed in really.values() for ms in speed.milliseconds)


@pytest.mark.usefixtures("no_compiled_forward")
def test_what_does_not_fit_the_memory_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = quantised(tmp_path)
    numbers = sum(layer.in_features * layer.out_features for layer in linear_layers(model).values())
    considered: list[str] = []

    def measure(layers: Any, forms: list[str]) -> dict[str, FormSpeed]:
        considered[:] = forms
        return {form: FormSpeed((1.0, 1.0)) for form in forms}

    monkeypatch.setattr(weights, "measure_forms", measure)
    for available, forms in ((9 * numbers, list(FORMS)), (5 * numbers, CHANGING), (3 * numbers, ["nf4", "int8"])):
        monkeypatch.setattr(psutil, "virtual_memory", lambda available=available: SimpleNamespace(available=available))
        assert choose_weights(model, "auto", CPU).value == forms[0]
        assert considered == forms
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=numbers // 4))
    choice = choose_weights(model, "auto", CPU)
    assert choice.value == "packed" and "GiB free" in choice.reason


def test_what_is_not_quantised_and_what_is_on_a_gpu_is_left_as_it_is(tmp_path: Path) -> None:
    assert choose_weights(tiny.model("llama"), "auto", CPU).value == "exact"
    assert choose_weights(quantised(tmp_path), "auto", torch.device("cuda")).value == "packed"


def test_only_large_exact_layers_get_a_second_copy(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
    }
    model = load_model(tiny.source(tiny.base_folder(tmp_path / "base", num_hidden_layers=1, **sizes)))
    assert choose_batched(model, "packed", CPU).value == "off"
    tokens = torch.arange(12).view(2, 6)
    with torch.inference_mode():
        packed = model(input_ids=tokens).logits
        convert_weights(model, "exact")
        assert choose_batched(model, "exact", CPU).value == "on"
        before = model(input_ids=tokens).logits
        torch.testing.assert_close(before, packed, rtol=1e-4, atol=1e-4)
        add_batched(model)
        torch.testing.assert_close(model(input_ids=tokens).logits, before, rtol=1e-4, atol=1e-4)
    layer = model.model.layers[0]
    assert isinstance(layer.mlp.up_proj, BatchedLinear)
    assert type(layer.self_attn.k_proj) is ExactLinear, "too small to gain by it"

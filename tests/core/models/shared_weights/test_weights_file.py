"""A quantised base is written to a file and read back the same; what can't be used is made anew or not shared."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from core.common.home import Home
from core.models.base import load_model, read_config
from core.models.shared_weights.shared_base import MAPPED, OWN, SharedBase, open_base
from core.models.shared_weights.tensors import UnsupportedModel, mapped_view, rebuild, write_model
from core.models.shared_weights.weights_file import ALIGNMENT, SEAL, WeightsFile, open_weights_file
from tests.core.serving import tiny
from tests.sweeps import sweep


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(40)[None]).logits
    return found


def weights_file(home: Home) -> Path:
    (path,) = home.cache.glob("*.arena")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.base_folder(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> PreTrainedModel:
    """The base as a normal load gives it."""
    return load_model(tiny.source(folder))


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole weights file of the base, as it lies in a cache."""
    home = Home.open(tmp_path_factory.mktemp("made"))
    opened(folder, home)
    return weights_file(home)


def opened(folder: Path, home: Home, **settings: Any) -> SharedBase:
    return open_base(tiny.source(folder), home, **settings)


@pytest.mark.parametrize("family", sweep(tiny.FAMILIES, fast=("llama", "llama-tied")))
def test_every_family_comes_out_as_it_went_in(family: str, tmp_path: Path) -> None:
    source = tiny.source(tiny.base_folder(tmp_path / family, family))
    loaded = load_model(source)
    path = tmp_path / "weights"
    write_model(loaded, path, {})
    weights = open_weights_file(path)
    mapped = rebuild(read_config(source), weights.contents, partial(mapped_view, weights))

    assert torch.equal(logits(mapped), logits(loaded))
    assert mapped.config.to_dict() == loaded.config.to_dict()
    assert mapped.generation_config.to_dict() == loaded.generation_config.to_dict()
    assert mapped.is_loaded_in_4bit and mapped.is_quantized and not mapped.training
    buffers = dict(loaded.named_buffers())
    assert buffers and all(torch.equal(buffer, buffers[name]) for name, buffer in mapped.named_buffers())
    tied = [model.get_input_embeddings().weight is model.get_output_embeddings().weight for model in (loaded, mapped)]
    assert tied[0] == tied[1]
    assert mapped.state_dict().keys() == loaded.state_dict().keys()
    assert all_views(mapped, weights)


def all_views(model: PreTrainedModel, weights: WeightsFile) -> bool:
    """Whether every tensor of `model`, quantisation states included, lies in the mapping, aligned."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(weights.data))
    tensors = [*model.parameters(), *model.buffers()]
    packed = [parameter.quant_state for parameter in model.parameters() if isinstance(parameter, Params4bit)]
    assert packed
    for state in packed:
        tensors += [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
    offsets = [tensor.data_ptr() - start for tensor in tensors]
    return all(0 <= offset < weights.nbytes and offset % ALIGNMENT == 0 for offset in offsets)


def test_an_architecture_with_other_tensors_is_told(folder: Path, made: Path) -> None:
    weights = open_weights_file(made)
    config = read_config(tiny.source(folder))
    config.num_hidden_layers += 1
    with pytest.raises(UnsupportedModel, match="other tensors"):
        rebuild(config, weights.contents, partial(mapped_view, weights))


def test_a_checkpoint_in_4_bit_is_taken_as_it_is_but_for_the_compute_dtype(
    folder: Path, tmp_path: Path, home: Home
) -> None:
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="float16")
    saved = AutoModelForCausalLM.from_pretrained(folder, dtype="float16", quantization_config=settings)
    saved.save_pretrained(tmp_path / "in-4-bit")

    for base in (opened(tmp_path / "in-4-bit", home, use_bnb_nested_quant=False), opened(tmp_path / "in-4-bit", home)):
        assert base.how.value == MAPPED
        layers = {path: module for path, module in base.model.named_modules() if isinstance(module, Linear4bit)}
        assert {linear.compute_dtype for linear in layers.values()} == {torch.float32} == {base.model.dtype}
        for path, layer in layers.items():
            assert torch.equal(layer.weight, saved.get_submodule(path).weight)
            assert not layer.weight.quant_state.nested  # as the checkpoint has it, whatever was asked for
        assert torch.equal(logits(base.model), logits(load_model(tiny.source(tmp_path / "in-4-bit"))))


def test_the_second_start_loads_nothing(folder: Path, home: Home) -> None:
    said: list[str] = []
    first = open_base(tiny.source(folder), home, progress=said.append)
    assert first.how.value == MAPPED and "made now" in first.how.reason
    assert "loading and quantising the weights" in said
    said.clear()
    second = open_base(tiny.source(folder), home, progress=said.append)
    assert second.how.value == MAPPED and "found in the cache" in second.how.reason
    assert said == ["reading the configuration", "mapping the quantised weights"]
    assert torch.equal(logits(first.model), logits(second.model))


def test_writing_to_a_mapped_weight_stays_in_the_process(folder: Path, home: Home) -> None:
    first = opened(folder, home).model
    expected, before = logits(first), hashlib.sha256(weights_file(home).read_bytes())
    first.lm_head.weight.data.add_(1)
    assert not torch.equal(logits(first), expected)
    assert hashlib.sha256(weights_file(home).read_bytes()).digest() == before.digest()
    assert torch.equal(logits(opened(folder, home).model), expected)


def cut_in_the_middle(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_at_the_end(data: bytes) -> bytes:
    return data[:-1]


def never_sealed(data: bytes) -> bytes:
    return data[: -SEAL.size] + bytes(SEAL.size)


def hole(data: bytes) -> bytes:
    return data[:ALIGNMENT] + data[2 * ALIGNMENT :]


def damaged_contents(data: bytes) -> bytes:
    return data[: -SEAL.size - 9] + b"?" + data[-SEAL.size - 8 :]


def nothing(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    "damage",
    [cut_in_the_middle, cut_at_the_end, never_sealed, hole, damaged_contents, nothing],
    ids=lambda f: f.__name__,
)
def test_a_damaged_weights_file_is_made_anew(
    damage: Callable[[bytes], bytes],
    folder: Path,
    loaded: PreTrainedModel,
    made: Path,
    home: Home,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole, path = made.read_bytes(), home.cache / made.name
    path.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING, "core.models.shared_weights.shared_base"):
        base = opened(folder, home)
    assert "made now" in base.how.reason and torch.equal(logits(base.model), logits(loaded))
    assert "made anew" in caplog.text
    assert path.read_bytes() == whole


def test_what_a_killed_writer_left_is_overwritten(folder: Path, made: Path, home: Home) -> None:
    whole, path = made.read_bytes(), home.cache / made.name
    half = path.with_name(path.name.split(".")[0] + ".unfinished")
    half.write_bytes(whole[:5000])
    assert opened(folder, home).how.value == MAPPED
    assert path.read_bytes() == whole and not half.exists()


def test_other_weights_get_another_file_in_the_olds_place(tmp_path: Path, home: Home) -> None:
    folder = tiny.base_folder(tmp_path / "tiny")
    first = opened(folder, home).model
    expected, old = logits(first), weights_file(home)
    tiny.base_folder(folder, seed=1)
    second = opened(folder, home)
    assert "made now" in second.how.reason and weights_file(home) != old
    assert torch.equal(logits(second.model), logits(load_model(tiny.source(folder))))
    assert torch.equal(logits(first), expected)  # its file is gone by name only


def test_without_room_the_base_is_an_own_copy(folder: Path, loaded: PreTrainedModel, home: Home) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        base = opened(folder, home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert base.how.value == OWN and "File too large" in base.how.reason
    assert torch.equal(logits(base.model), logits(loaded))
    assert [path.suffix for path in home.cache.iterdir()] == [".lock"]


def test_without_a_cache_the_base_is_an_own_copy(folder: Path, loaded: PreTrainedModel, home: Home) -> None:
    home.cache.rmdir()
    home.cache.touch()
    base = opened(folder, home)
    assert base.how.value == OWN and str(home.cache) in base.how.reason
    assert torch.equal(logits(base.model), logits(loaded))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"load_in_4bit": False}, "not wanted in 4 bit"), ({"use_bnb_nested_quant": False}, "double quantisation")],
)
def test_other_settings_than_the_chats_make_an_own_copy(
    settings: dict[str, Any], reason: str, folder: Path, home: Home
) -> None:
    base = opened(folder, home, **settings)
    assert base.how.value == OWN and reason in base.how.reason
    assert torch.equal(logits(base.model), logits(load_model(tiny.source(folder), **settings)))

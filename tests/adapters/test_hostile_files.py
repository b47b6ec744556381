"""Files by strangers: whatever bytes they hold, the answer is facts or a UserError, never another exception."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

from adapters.card_record import read_card
from adapters.common.errors import UserError
from adapters.compat import inspect, parse_config, why_not_config
from adapters.safetensors_header import read_header
from tests.adapters.folders import config, write_adapter

SETTINGS = settings(max_examples=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "X"]),
        "shape": st.lists(st.integers(-1, 4), max_size=2),
        "data_offsets": st.lists(st.integers(-1, 64), min_size=2, max_size=2),
    }
)


def accepted_by_the_library(path: Path) -> bool:
    try:
        with safe_open(path, "numpy") as file:
            file.keys()
    except SafetensorError:
        return False
    return True


@pytest.mark.slow
@SETTINGS
@given(header=st.dictionaries(st.sampled_from("abc"), ENTRY | JSON, max_size=3), size=st.integers(0, 64))
@example(header={"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, size=4)
@example(header={n: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for n in "ab"}, size=4)
@example(header={"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]}}, size=1)
def test_what_passes_here_passes_in_the_safetensors_library(tmp_path: Path, header: dict[str, Any], size: int) -> None:
    content = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content + b"\0" * size)
    try:
        read_header(path)
    except UserError:
        return
    assert accepted_by_the_library(path)


@SETTINGS
@given(place=st.integers(0, 600), value=st.integers(0, 255))
def test_a_changed_byte_in_the_header_is_noticed_as_the_library_does(tmp_path: Path, place: int, value: int) -> None:
    folder = tmp_path / "adapter"
    if not folder.exists():
        write_adapter(folder)
        (tmp_path / "whole").write_bytes((folder / "adapter_model.safetensors").read_bytes())
    content = bytearray((tmp_path / "whole").read_bytes())
    content[place] = value
    path = folder / "adapter_model.safetensors"
    path.write_bytes(content)
    try:
        inspect(folder)
    except UserError:
        return
    assert accepted_by_the_library(path)


@SETTINGS
@given(st.dictionaries(st.sampled_from([*config(), "rank_pattern", "alpha_pattern", "other"]), JSON))
def test_any_configuration_is_judged_or_refused(changes: dict[str, Any]) -> None:
    try:
        parsed = parse_config(json.dumps(config() | changes).encode())
    except UserError:
        return
    assert why_not_config(parsed) is None or isinstance(why_not_config(parsed), str)


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes_are_no_configuration(content: bytes) -> None:
    with pytest.raises(UserError):
        parse_config(content)


@SETTINGS
@given(st.text(max_size=200) | JSON.map(lambda value: f"guanaco_studio: {json.dumps(value)}\n"))
def test_any_front_matter_is_read_or_refused(text: str) -> None:
    try:
        record = read_card(f"---\n{text}---\n", "x")
    except UserError:
        return
    assert record is None or record.name == "x"


@pytest.mark.parametrize("number", ["9" * 4_000, "1" + "0" * 30])
def test_sizes_that_no_file_has_are_refused_before_they_are_multiplied(tmp_path: Path, number: str) -> None:
    shape = ",".join([number] * 5_000)
    content = f'{{"a": {{"dtype": "F32", "shape": [{shape}], "data_offsets": [0, 4]}}}}'.encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content + b"\0" * 4)
    with pytest.raises(UserError, match="malformed"):  # without the check this takes hours
        read_header(path)


def test_a_header_larger_than_any_adapters_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 30_000_000) + b"{")
        file.truncate(40_000_000)  # a file with a hole: it takes no room
    with pytest.raises(UserError, match="larger than any"):
        read_header(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"r": 10**400},
        {"r": 10**6},
        {"lora_alpha": 10**400},
        {"lora_alpha": float("inf")},
        {"alpha_pattern": {"q_proj": 10**400}},
        {"rank_pattern": {f"layers.{i}": 4 for i in range(2_000)}},
        {"base_model_name_or_path": 'x"); import os; os.system("id")#'},
        {"base_model_name_or_path": "x` <script>alert(1)</script>"},
        {"base_model_name_or_path": "x\n\n# Another heading"},
        {"base_model_name_or_path": "x" * 1_000},
    ],
)
def test_values_that_nothing_can_calculate_or_show_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        parse_config(json.dumps(config() | changes).encode())
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("modules", [True, 5, "lm_head", ["lm_head"]])
def test_whole_layers_are_named_however_they_are_written(modules: object) -> None:
    assert "whole layers" in str(why_not_config(config(modules_to_save=modules)))


def test_a_custom_class_or_mapping_in_a_configuration_means_nothing(tmp_path: Path) -> None:
    """PEFT would import what `auto_mapping` names; here it is text that is neither followed nor sent on."""
    mapping = {"base_model_class": "os", "parent_library": "subprocess"}
    facts = inspect(write_adapter(tmp_path / "x", auto_mapping=mapping))
    assert why_not_config(facts.config) is None

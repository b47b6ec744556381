"""Which names mean the same base, and what counts more than names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.bases import Origin, find_base_mismatch, is_same_base, to_shareable_id, with_same_base
from adapters.record import AdapterRecord

QWEN = "Qwen/Qwen2.5-0.5B-Instruct"
LLAMA = "meta-llama/Llama-3.2-1B-Instruct"
HASH = "7ae557604adf67be50417f59c2c2f167def9a775"


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("qwen/qwen2.5-0.5b-instruct", QWEN),
        (f"{QWEN}/", QWEN),
        (f" {QWEN}", QWEN),
        (f"{QWEN}@main", QWEN),
        (f"{QWEN}@{HASH}", QWEN),
        (f"https://huggingface.co/{QWEN}", QWEN),
        (f"https://huggingface.co/{QWEN}/tree/main", QWEN),
        (f"/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/{HASH}", QWEN),
        (f"/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/{HASH}/", QWEN),
        (f"C:\\cache\\models--Qwen--Qwen2.5-0.5B-Instruct\\snapshots\\{HASH}", QWEN),
        ("models--Qwen--Qwen2.5-0.5B-Instruct", QWEN),
        ("/data/models/Qwen2.5-0.5B-Instruct", QWEN),
        ("./Qwen2.5-0.5B-Instruct/", QWEN),
        ("D:\\models\\Qwen2.5-0.5B-Instruct", QWEN),
        ("Qwen2.5-0.5B-Instruct", QWEN),
        ("Qwen/Qwen2.5-0.5B-Instruct-bnb-4bit", QWEN),
        ("unsloth/Qwen2.5-0.5B-Instruct", QWEN),
        ("unsloth/Qwen2.5-0.5B-Instruct-bnb-4bit", QWEN),
        ("unsloth/Qwen2.5-0.5B-Instruct-unsloth-bnb-4bit", QWEN),
        ("unsloth/qwen2.5-0.5b-instruct-unsloth-bnb-4bit", QWEN),
        ("unsloth/Llama-3.2-1B-Instruct-bnb-4bit", LLAMA),
        ("unsloth/Llama-3.2-1B-Instruct-bnb-4bit", "unsloth/Llama-3.2-1B-Instruct"),
        ("/data/Llama-3.2-1B-Instruct-bnb-4bit", "/srv/Llama-3.2-1B-Instruct"),
        ("/data/model", "/data/model/"),
        ("guanaco-builtin", "/opt/studio/guanaco-builtin"),
    ],
)
def test_a_copy_under_another_name_is_the_same_base(name: str, base: str) -> None:
    assert is_same_base(name, base)
    assert is_same_base(base, name)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (LLAMA, QWEN),
        ("Qwen/Qwen2.5-0.5B", QWEN),
        ("ada/Qwen2.5-0.5B-Instruct", QWEN),
        ("ada/Qwen2.5-0.5B-Instruct-bnb-4bit", QWEN),
        ("unsloth/Qwen2.5-0.5B-Instruct", "ada/Qwen2.5-0.5B-Instruct"),
        ("unsloth/phi-4", "microsoft/phi-4"),
        ("Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4", QWEN),
        ("Qwen/Qwen2.5-0.5B-Instruct-AWQ", QWEN),
        ("Qwen/Qwen2.5-0.5B-Instruct-FP8", QWEN),
        ("unsloth/Qwen2.5-0.5B-Instruct-GGUF", QWEN),
        ("Qwen/Qwen2.5-0.5B-Instruct-4bit", QWEN),
        ("/data/model", "/srv/model"),
        ("/data/base_model", "/srv/base_model"),
        ("model", "ada/model"),
        ("output/checkpoint-500", "/srv/checkpoint-500"),
        (f"/snapshots/{HASH}", f"/elsewhere/{HASH}"),
        ("ada/guanaco-builtin", "guanaco-builtin"),
        ("/", QWEN),
        ("", QWEN),
    ],
)
def test_a_name_that_may_be_anothers_is_not_the_same_base(name: str, base: str) -> None:
    assert not is_same_base(name, base)
    assert not is_same_base(base, name)


@pytest.mark.parametrize(
    ("base", "shared"),
    [
        (f"/home/ada/hub/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/{HASH}", QWEN),
        ("/home/ada/models/my-llama/", "my-llama"),
        ("~/my-llama", "my-llama"),
        (f"{QWEN}@main", QWEN),
        (QWEN, QWEN),
    ],
)
def test_what_is_shared_of_a_base_names_no_folder_of_this_machine(base: str, shared: str) -> None:
    assert to_shareable_id(base) == shared


def test_fingerprints_count_more_than_names() -> None:
    assert find_base_mismatch(Origin("/old/place", "f00d"), "/new/place", "f00d") is None
    assert "fingerprints differ" in str(find_base_mismatch(Origin("my-llama", "beef"), "/srv/my-llama", "f00d"))
    reason = find_base_mismatch(Origin("ada/other"), "/srv/my-llama")
    assert "trained on ada/other; the base here is my-llama" in str(reason)
    assert "a folder named model, which does not tell" in str(find_base_mismatch(Origin("/data/model"), "/srv/model"))


def test_a_persons_word_holds_for_these_two_bases_alone() -> None:
    record = AdapterRecord("style", "ada/renamed", "beef")
    said = with_same_base(record, "/srv/my-llama", "f00d")
    assert said.same_base is not None
    assert (said.same_base.made_for, said.same_base.made_for_fingerprint) == ("ada/renamed", "beef")
    origin = Origin.of(said)
    assert find_base_mismatch(origin, "/srv/my-llama", "f00d") is None
    assert find_base_mismatch(origin, "/moved/to/here", "f00d") is None, "the same weights elsewhere"
    assert find_base_mismatch(origin, "/srv/my-llama", "cafe") is not None, "other weights in the same folder"
    assert find_base_mismatch(origin, "ada/third") is not None
    assert find_base_mismatch(replace(origin, base_model="ada/replaced"), "/srv/my-llama", "f00d") is not None
    assert AdapterRecord.from_dict(said.to_dict()) == said
    assert with_same_base(record, "ada/renamed") is record, "nothing is to be said of what is known"

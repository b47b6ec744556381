"""The card: metadata that the Hub accepts, everything a stranger needs, and nothing of this machine."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from adapters.card_record import read_card
from adapters.cards.adapter_card import render_adapter_card
from adapters.common.errors import UserError
from adapters.record import BUILTIN_ID, AdapterRecord, DatasetRef, HubRef, Sample
from core.models import base
from tests.hub_server.cards import validate_card

RECORD = AdapterRecord(
    name="pirate",
    base_model="meta-llama/Llama-2-7b-chat-hf",
    base_fingerprint="f00d",
    created="2026-01-02T03:04:05Z",
    run_id="run-1",
    dataset=DatasetRef("mlabonne/guanaco-llama2-1k", "hub", "abc123", "5ha", 1000, "apache-2.0"),
    recipe={"dataset_name": "mlabonne/guanaco-llama2-1k", "load_in_4bit": True, "learning_rate": 0.0002, "lora_r": 64},
    steps=125,
    train_loss=1.23456,
    eval_loss=1.3,
    tokens=1234567,
    seconds=3725.0,
    lora_r=64,
    size_bytes=3 * 2**20,
    samples=[Sample("Hi | there?", "Hello.\nHow <b>are</b> you?", "Ahoy!")],
    note="Speaks like a <pirate>.",
    tags=["style"],
)


def local(**changes: object) -> AdapterRecord:
    values = {"name": "x", "base_model": BUILTIN_ID, "dataset": DatasetRef("pirate", "bundled")} | changes
    return AdapterRecord(**values)  # type: ignore[arg-type]


def test_front_matter_links_base_and_dataset() -> None:
    card = ModelCard(render_adapter_card(RECORD, "ada/pirate"))
    assert isinstance(card.data, ModelCardData)
    data = card.data.to_dict()
    assert data["base_model"] == "meta-llama/Llama-2-7b-chat-hf"
    assert data["base_model_relation"] == "adapter"
    assert data["library_name"] == "peft"
    assert data["pipeline_tag"] == "text-generation"
    assert data["datasets"] == ["mlabonne/guanaco-llama2-1k"]
    assert data["tags"] == ["lora", "qlora", "sft", "guanaco-studio", "style"]
    assert validate_card(str(card)) == ([], [])


def test_body_tells_a_stranger_what_is_needed() -> None:
    text = render_adapter_card(RECORD, "ada/pirate")
    for wanted in (
        "https://huggingface.co/meta-llama/Llama-2-7b-chat-hf",
        'PeftModel.from_pretrained(base, "ada/pirate")',
        "vllm serve meta-llama/Llama-2-7b-chat-hf --enable-lora --max-lora-rank 64 --lora-modules pirate=ada/pirate",
        "pip install peft transformers accelerate",
        "It then answers as the model `pirate`",
        "trained on the base in 4 bits (QLoRA)",
        "python -m studio pull ada/pirate",
        "| Training loss | 1.235 |",
        "| Evaluation loss, on conversations held out | 1.3 |",
        "| Tokens seen | 1,234,567 |",
        "| Time | 1 h 2 min |",
        "| SHA-256 | `5ha` |",
        "| Licence | apache-2.0 |",
        "| `learning_rate` | 0.0002 |",
        "| Hi \\| there? | Hello.<br>How &lt;b&gt;are&lt;/b&gt; you? | Ahoy! |",
        "Speaks like a &lt;pirate&gt;.",
    ):
        assert wanted in text, wanted
    assert "run-1" not in text


def test_the_recipe_stands_there_as_yaml_that_can_be_used_again() -> None:
    block = render_adapter_card(RECORD, "ada/pirate").split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == RECORD.recipe


def test_code_in_the_card_is_python() -> None:
    block = render_adapter_card(RECORD, "ada/pirate").split("```python\n")[1].split("```")[0]
    compile(block, "card", "exec")


def test_of_the_built_in_base_the_card_says_what_it_is() -> None:
    text = render_adapter_card(local(), "ada/x")
    card = ModelCard(text)
    assert "base_model" not in card.data.to_dict() and "datasets" not in card.data.to_dict()
    assert "tiny model that is part of Guanaco Studio" in text
    assert "python -m studio pull ada/x" in text
    assert "PeftModel" not in text, "there is nothing on the Hub to load it on"
    assert validate_card(text) == ([], [])
    assert BUILTIN_ID == base.BUILTIN_ID


def test_of_a_base_on_this_disk_only_its_name_is_told() -> None:
    text = render_adapter_card(local(base_model="/home/ada/secret-project/my-llama"), "ada/x")
    assert "secret-project" not in text
    assert 'from_pretrained("path/to/my-llama"' in text
    assert "base_model:" not in text.split("guanaco_studio:")[0]
    assert validate_card(text) == ([], [])


def test_what_is_not_known_is_left_out() -> None:
    text = render_adapter_card(AdapterRecord("x", "a/b"), "ada/x")
    assert "None" not in text and "### Recipe" not in text and "### Data" not in text


def test_the_record_comes_back_from_the_card() -> None:
    back = read_card(render_adapter_card(RECORD, "ada/pirate"), "mine")
    assert back is not None
    for kept in (
        "base_model",
        "base_fingerprint",
        "created",
        "dataset",
        "recipe",
        "steps",
        "eval_loss",
        "samples",
        "tags",
    ):
        assert getattr(back, kept) == getattr(RECORD, kept), kept
    assert back.name == "mine" and back.run_id is None and back.hub is None


def test_cards_of_others_carry_no_record() -> None:
    assert read_card("# No front matter", "x") is None
    assert read_card("---\nlicense: mit\n---\n# Hello", "x") is None
    assert read_card("---\n- a list\n---\n", "x") is None
    assert read_card("---\nguanaco_studio: yes\n---\n", "x") is None


@pytest.mark.parametrize(
    "block",
    [
        "{version: 1, base_model: 3}",
        "{version: 1, base_model: b, steps: many}",
        "{version: 1, base_model: b, train_loss: [1]}",
        "{version: 1, base_model: b, dataset: {nmae: x}}",
        "{version: 1, base_model: b, samples: [1]}",
        "{version: 1, base_model: b, tags: [{a: b}]}",
        "{version: 2, base_model: b}",
        "{version: 1, base_model: !!python/name:os.system }",
        "{version: 1, base_model: &a b, note: *a}",
        "{version: 1, base_model: b, eval_loss: 1" + "0" * 400 + "}",
        "{version: 1, base_model: b, steps: 0x" + "f" * 9_000 + "}",
        "{version: 1, base_model: b, recipe: {lora_r: 0x" + "f" * 9_000 + "}}",
        "{version: 1, base_model: b, recipe: {when: 2026-01-01}}",
        "{version: 1, base_model: b, seconds: .inf}",
        "{version: 1, base_model: b, note: " + "x" * 100_000 + "}",
        "{",
    ],
)
def test_a_strangers_malformed_record_is_refused(block: str) -> None:
    with pytest.raises(UserError):
        read_card(f"---\nguanaco_studio: {block}\n---\n", "x")


def test_a_strangers_card_cannot_name_run_or_repository() -> None:
    block = "{version: 1, base_model: b, run_id: theirs, hub: {repo_id: a/b, revision: c}, name: other}"
    record = read_card(f"---\nguanaco_studio: {block}\n---\n", "x")
    assert record is not None and (record.name, record.run_id, record.hub) == ("x", None, None)


def test_a_small_text_cannot_become_a_huge_value() -> None:
    lines = ["a: &a [x, x]"] + [
        f"{new}: &{new} [*{old}, *{old}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    with pytest.raises(UserError, match="aliases"):
        read_card("---\n" + "\n".join(lines) + "\n---\n", "x")


def test_record_round_trip_through_its_file() -> None:
    record = AdapterRecord(**{**RECORD.__dict__, "hub": HubRef("a/b", "c")})
    assert AdapterRecord.from_dict(record.to_dict()) == record


def test_a_strangers_words_stay_words_in_the_card_that_is_pushed_on() -> None:
    markup = "</td>|<img src=x onerror=alert(1)>"
    dataset = DatasetRef(markup, "file", markup, markup, 3, markup)
    text = render_adapter_card(local(dataset=dataset, note=markup, samples=[Sample(markup, markup, markup)]), "ada/x")
    body = text.split("---\n", 2)[2]
    assert "<img" not in body
    assert all(line.count("|") - line.count("\\|") == 3 for line in body.splitlines() if line.startswith("| SHA-256"))


def test_the_tokenizer_is_loaded_from_where_there_is_one() -> None:
    assert 'AutoTokenizer.from_pretrained("ada/pirate")' in render_adapter_card(RECORD, "ada/pirate")
    without = render_adapter_card(RECORD, "ada/pirate", own_tokenizer=False)
    assert 'AutoTokenizer.from_pretrained("meta-llama/Llama-2-7b-chat-hf")' in without

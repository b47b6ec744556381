"""Bases whose parts do not belong together say so in one sentence when they are loaded, not with each chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.common.errors import UserError
from core.models.base import load_model, load_tokenizer
from core.recipes.recipe import Recipe
from core.serving.api.errors import ApiError
from core.serving.api.prompts import Prompts
from core.serving.api.requests import ChatCompletionRequest, CompletionRequest, parse_request
from core.serving.engine.build import build_engine, choose_context
from core.serving.service import usable_sampling_defaults
from core.serving.settings import EngineSettings
from core.training.dataset import prepare_data
from studio.cli.doctor import find_base_problems
from tests.core.serving import tiny

TOKENS = 262  # of the tiny base
Change = Callable[[Path], None]


def edited(name: str, **changes: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def templated(text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / "chat_template.jinja").write_text(text)

    return change


def with_tokenizer(template: str = tiny.CHAT_TEMPLATE, **special: str) -> Change:
    """The tokenizer with tokens that were added behind the base's embedding, which nobody has made larger."""

    def change(folder: Path) -> None:
        tokenizer = tiny.tokenizer()
        tokenizer.add_special_tokens(special)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)

    return change


def with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def changed(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return changed


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


CHATML = "<|im_start|>{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            edited("config.json", vocab_size=200), "has 262 tokens, and the base knows 200 only", id="other vocabulary"
        ),
        pytest.param(
            with_tokenizer(CHATML, pad_token="<|im_start|>"), r"template of odd writes <\|im_start\|>, token 262",
            id="template",
        ),
        pytest.param(with_tokenizer(eos_token="<end>"), "end-of-text token of odd, <end>, is number 262", id="eos"),
        pytest.param(with_tokenizer(bos_token="<begin>"), "begin-of-text token of odd, <begin>, is number", id="bos"),
        pytest.param(lambda folder: (folder / "chat_template.jinja").unlink(), "no chat template", id="no template"),
        pytest.param(templated("{{ messages[0].nope.deep }}"), "fails on a plain question: 'dict object'", id="raises"),
        pytest.param(templated("{{ 1 + messages }}"), "fails on a plain question", id="raises a TypeError"),
        pytest.param(templated("{% for %}"), "fails on a plain question", id="is no template"),
        pytest.param(templated("{% if false %}x{% endif %}"), "leaves a plain question out: it writes ''", id="empty"),
        pytest.param(templated("Hello."), "leaves a plain question out: it writes 'Hello.'", id="fixed"),
        pytest.param(edited("config.json", max_position_embeddings="many"), "max_position_embeddings", id="config"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_does_not_fit_its_base_is_refused_by_everyone_who_loads_it(
    tmp_path: Path, change: Change, words: str
) -> None:
    folder = tiny.base_folder(tmp_path / "odd")
    change(folder)
    with pytest.raises(UserError, match=words):
        load_tokenizer(tiny.source(folder))
    (said,) = find_base_problems(str(folder))
    assert "\n" not in said


def test_a_pad_token_that_the_base_does_not_know_is_replaced_since_nobody_reads_it(tmp_path: Path) -> None:
    folder = tiny.base_folder(tmp_path / "odd")
    with_tokenizer(pad_token="[PAD]")(folder)
    tokenizer = load_tokenizer(tiny.source(folder))
    assert tokenizer.convert_tokens_to_ids("[PAD]") == TOKENS
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"


def test_an_added_token_that_no_question_needs_is_let_be_and_refused_where_a_text_holds_it(tmp_path: Path) -> None:
    folder = tiny.base_folder(tmp_path / "odd")
    with_tokenizer(cls_token="<image>")(folder)
    tokenizer = load_tokenizer(tiny.source(folder))
    assert len(tokenizer) == TOKENS + 1
    assert find_base_problems(str(folder)) == []

    prompts = Prompts(tokenizer, TOKENS, 512)
    assert prompts.encode(parse_request(ChatCompletionRequest, asking("Look!")))
    chat = parse_request(ChatCompletionRequest, asking("Look: <image>"))
    for request in (chat, parse_request(CompletionRequest, {"model": "base", "prompt": "<image>"})):
        with pytest.raises(ApiError, match="The base has no token 262"):
            prompts.encode(request)

    rows = [{"messages": [*asking(text)["messages"], {"role": "assistant", "content": "Yes."}]} for text in TEXTS]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = Recipe.from_dict({"dataset_name": str(tmp_path / "rows.jsonl")})
    with pytest.raises(UserError, match="row 2: The base does not know its token <image>"):
        prepare_data(recipe, tokenizer, TOKENS)
    assert (
        "1 of 3 rows could not be used" in prepare_data(replace(recipe, skip_bad_rows=True), tokenizer, TOKENS).notes[1]
    )


TEXTS = ("Look!", "Look: <image>", "And now?")


def asking(text: str) -> dict[str, Any]:
    return {"model": "base", "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    ("family", "change", "words"),
    [
        pytest.param(
            "llama", with_weights(lambda w: w.pop("lm_head.weight")), "lack weights: lm_head.weight", id="no head"
        ),
        pytest.param(
            "llama", with_weights(lambda w: [w.pop(key) for key in list(w) if ".layers.1." in key]),
            r"lack weights: model.layers.1.input_layernorm.weight, and 8 more", id="no layer",
        ),
        pytest.param(
            "llama", with_weights(lambda w: w.update({"lm_head.weight": w["lm_head.weight"][:200].clone()})),
            "lm_head.weight is 200 x 48, and by the configuration 262 x 48", id="small head",
        ),
        pytest.param(
            "llama-tied", with_weights(lambda w: w.update({"lm_head.weight": torch.zeros(300, 48)})),
            "embeddings and head are one matrix by the configuration", id="tied head of another size",
        ),
        pytest.param("llama", cut_off, "could not be loaded", id="cut off"),
    ],
)  # fmt: skip
def test_weights_that_are_not_those_of_the_configuration_are_refused_and_never_made_up(
    tmp_path: Path, family: str, change: Change, words: str
) -> None:
    folder = tiny.base_folder(tmp_path / "odd", family)
    change(folder)
    with pytest.raises(UserError, match=words) as raised:
        load_model(tiny.source(folder))
    assert str(tmp_path) not in str(raised.value)


def test_a_base_without_a_context_length_is_served_when_it_is_said_and_else_refused() -> None:
    config = tiny.model(max_position_embeddings=0).config
    with pytest.raises(UserError, match="names no context length") as raised:
        choose_context(config, None)
    assert "max_length" in raised.value.remedy
    assert choose_context(config, 128).value == "128"


def test_a_context_beyond_the_bases_own_is_not_given_and_that_is_told() -> None:
    chosen = choose_context(tiny.model().config, 4096)
    assert (chosen.value, "less than the 4096 asked for" in chosen.reason) == ("512", True)
    assert choose_context(tiny.model().config, 100).reason == "asked for"


def test_end_tokens_that_the_base_can_never_say_are_refused() -> None:
    model, tokenizer = tiny.model(), tiny.tokenizer()
    tokenizer.eos_token = None
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"  # writes no end either
    model.generation_config.eos_token_id = [TOKENS, TOKENS + 1]
    with pytest.raises(UserError, match="No answer of this base could end"):
        build_engine(model, tokenizer, EngineSettings())


def test_sampling_that_cannot_be_is_not_taken_from_the_bases_files() -> None:
    good, wrong = usable_sampling_defaults(
        {"temperature": -1.0, "top_p": 0.9, "top_k": "many", "repetition_penalty": 0.0}
    )
    assert good == {"top_p": 0.9}
    assert [problem.split()[0] for problem in wrong] == ["temperature", "top_k", "repetition_penalty"]

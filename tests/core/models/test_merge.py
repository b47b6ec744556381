"""A merged model calculates what base and adapter calculate together, and appears whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapters.common.errors import UserError
from core.models.base import resolve
from core.models.builtin import BASE_DIR
from core.models.merge import main, merge
from tests.core.serving.tiny import adapter


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in base in fp32 and in two files with an index, as large models come."""
    folder = tmp_path_factory.mktemp("base") / "whole"
    model = AutoModelForCausalLM.from_pretrained(BASE_DIR, dtype=torch.float32)
    model.save_pretrained(folder, max_shard_size="8MB")
    AutoTokenizer.from_pretrained(BASE_DIR).save_pretrained(folder)
    assert (folder / "model.safetensors.index.json").is_file()
    save_file({"other": torch.zeros(2)}, folder / "consolidated.safetensors")
    return folder


def made_for(base_id: str, folder: Path, **lora: Any) -> Path:
    """An adapter of the built-in base's shape that says it was made for `base_id`."""
    adapter(folder, BASE_DIR, **lora)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base_id}))
    return folder


@pytest.mark.parametrize(
    "lora", [{}, {"use_rslora": True}, {"alpha_pattern": {"q_proj": 3}, "rank_pattern": {"q_proj": 2}}]
)
def test_it_is_what_peft_merges(base: Path, tmp_path: Path, lora: dict[str, Any]) -> None:
    lora_folder = made_for(str(base), tmp_path / "lora", **lora)
    told: list[float] = []
    target = merge(resolve(str(base)), lora_folder, tmp_path / "merged", lambda share, _: told.append(share))
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), lora_folder)
    expected = reference.merge_and_unload().state_dict()
    merged = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).state_dict()
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in merged.state_dict().items())
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert not (target / "consolidated.safetensors").exists()
    assert AutoTokenizer.from_pretrained(target).chat_template


def test_other_programs_are_told_at_which_tokens_its_answers_end(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(BASE_DIR, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", "<|system|>")  # not its end of text
    tokenizer.save_pretrained(base)
    lora = made_for(str(base), tmp_path / "lora")
    target = merge(resolve(str(base)), lora, tmp_path / "merged")
    ends = {tokenizer.convert_tokens_to_ids("<|system|>"), tokenizer.eos_token_id}
    assert set(AutoModelForCausalLM.from_pretrained(target).generation_config.eos_token_id) == ends


def test_a_half_precision_base_stays_one(tmp_path: Path) -> None:
    target = merge(resolve("builtin"), made_for("guanaco-builtin", tmp_path / "lora"), tmp_path / "merged")
    before, after = load_file(BASE_DIR / "model.safetensors"), load_file(target / "model.safetensors")
    assert {name: tensor.dtype for name, tensor in after.items()} == {n: t.dtype for n, t in before.items()}
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    assert all(name.endswith("proj.weight") for name in changed)


def test_an_earlier_one_is_replaced_and_other_folders_are_not(base: Path, tmp_path: Path) -> None:
    lora = made_for(str(base), tmp_path / "lora")
    target = merge(resolve(str(base)), lora, tmp_path / "merged")
    (target / "left-over.txt").write_text("x")
    merge(resolve(str(base)), lora, target)
    assert not (target / "left-over.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.txt").write_text("x")
    with pytest.raises(UserError, match="something else"):
        merge(resolve(str(base)), lora, mine)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing is left beside"


def test_what_cannot_be_merged_is_said(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lora = made_for("somebody/else", tmp_path / "lora")
    with pytest.raises(UserError, match="trained on somebody/else"):
        merge(resolve(str(base)), lora, tmp_path / "merged")
    quantised = Path(shutil.copytree(base, tmp_path / "quantised"))
    config = json.loads((quantised / "config.json").read_text())
    (quantised / "config.json").write_text(json.dumps(config | {"quantization_config": {"load_in_4bit": True}}))
    fitting = made_for(str(quantised), tmp_path / "fitting")
    with pytest.raises(UserError, match="quantised as they are published"):
        merge(resolve(str(quantised)), fitting, tmp_path / "merged")
    tied = made_for(str(base), tmp_path / "tied", target_modules=["lm_head"])
    assert main([str(tied), "--base", str(base), "--to", str(tmp_path / "merged")]) == 2
    assert "lm_head" in json.loads(capsys.readouterr().out.splitlines()[-1])["message"]
    assert not (tmp_path / "merged").exists()

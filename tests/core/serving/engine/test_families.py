"""Each family gives the tokens that PEFT gives, or is refused at load with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, FalconH1Config, GPT2Config, MambaConfig, PreTrainedModel

from adapters.common.errors import UserError
from core.serving.engine import build
from core.serving.engine.build import build_engine
from core.serving.settings import EngineSettings
from tests.core.serving import tiny
from tests.core.serving.running import Running, greedy
from tests.sweeps import sweep

PROMPTS = [[1, 3, 70, 71, 72], list(range(40, 69))]
NEW = 10


@pytest.mark.slow
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_mixed_batch_gives_the_tokens_that_peft_gives(family: str, tmp_path: Path) -> None:
    folders = [
        tiny.adapter(tmp_path / "one", tiny.model(family), seed=1, r=4),
        tiny.adapter(tmp_path / "two", tiny.model(family), seed=2, r=12, target_modules=r".*\.1\..*_proj"),
    ]
    expected: dict[str | None, list[list[int]]] = {
        None: [greedy(tiny.model(family), prompt, NEW) for prompt in PROMPTS]
    }
    for folder in folders:
        peft = PeftModel.from_pretrained(tiny.model(family), folder).eval()
        expected[folder.name] = [greedy(peft, prompt, NEW) for prompt in PROMPTS]
    assert expected[None] != expected["one"] != expected["two"]  # the adapters do something

    with Running(tiny.model(family), prefill_chunk=8) as running:  # the long prompt takes several chunks
        adapters = {None: None} | {folder.name: running.read(folder) for folder in folders}
        asked = [
            (name, i, running.ask(prompt, adapters[name], max_tokens=NEW))
            for i, prompt in enumerate(PROMPTS)
            for name in adapters
        ]
        for name, i, reader in asked:
            assert reader.tokens == expected[name][i], (family, name, PROMPTS[i])


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("family", sweep(tiny.FAMILIES, fast=("llama", "gemma2")))
def test_long_and_short_rows_beside_each_other_say_what_they_say_alone(
    family: str, copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges of four lengths are several groups of rows. `copies`: as for a family that takes no attention function."""
    prompts = [*PROMPTS, list(range(20, 170)), list(range(100, 200))]
    expected = [greedy(tiny.model(family), prompt, NEW) for prompt in prompts]
    if copies:
        monkeypatch.setattr(build, "use_grouped", lambda model, wanted: None)
    with Running(tiny.model(family), prefill_chunk=64, max_rows=8) as running:
        assert running.engine.cache.grouped is not copies
        groups: list[int] = []
        running.engine.forward.model.register_forward_pre_hook(
            lambda *_: groups.append(len(running.engine.cache.groups))
        )
        asked = [running.ask(prompt, max_tokens=NEW) for prompt in (*prompts, *prompts)]
        assert [reader.tokens for reader in asked] == expected * 2
    assert max(groups) > 1


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=8), "linear_attention"),
        (
            FalconH1Config(
                vocab_size=64,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                mamba_d_ssm=64,
                mamba_n_heads=4,
                mamba_d_head=16,
                mamba_d_state=8,
            ),
            "cannot",
        ),
    ],
)
def test_a_family_that_cannot_be_batched_is_refused_with_the_reason(config: object, reason: str) -> None:
    model = AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(UserError, match=reason):
        build_engine(model, tiny.tokenizer(), EngineSettings())


class Drifting(torch.nn.Module):
    """A rotary embedding that ignores the positions it is given: nothing but calculating can show that."""

    def __init__(self, rotary: torch.nn.Module) -> None:
        super().__init__()
        self.rotary = rotary

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> object:
        return self.rotary(x, position_ids - position_ids.min())


def test_a_model_whose_steps_differ_from_its_forward_is_refused() -> None:
    model: PreTrainedModel = tiny.model("llama")
    model.model.rotary_emb = Drifting(model.model.rotary_emb)
    with pytest.raises(UserError, match="step by step its logits differ"):
        build_engine(model, tiny.tokenizer(), EngineSettings())


def test_gpt2_is_served_or_refused_but_never_wrong() -> None:
    config = GPT2Config(vocab_size=262, n_embd=48, n_layer=2, n_head=4, n_positions=128, initializer_range=0.2)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    expected = greedy(model, [5, 6, 7, 8], 12)
    with Running(model) as running:
        assert running.ask([5, 6, 7, 8], max_tokens=12).tokens == expected

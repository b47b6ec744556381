"""Pretraining, really run for a few steps: a stopped run that goes on ends with the weights of one never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tools.builtin_model import pretrain
from tools.builtin_model.muon import orthogonalised


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BATCH_TOKENS": 256,
        "POOL": 16,
        "TOKENIZER_CONVERSATIONS": 200,
        "PLAIN_STEPS": 1,
        "SAVE_EVERY": 2,
    }.items():
        monkeypatch.setattr(pretrain, name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_continued_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    pretrain.pretrain(tmp_path / "whole", seed=0, steps=3, state_file=state)
    assert torch.load(state, weights_only=True)["step"] == 2
    pretrain.pretrain(tmp_path / "continued", seed=0, steps=3, state_file=state)
    whole, continued = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "continued"))
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    assert {tensor.dtype for tensor in whole.values()} == {torch.float16}


def test_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    shares = [pretrain.learning_rate(step, 1400) for step in range(1400)]
    assert shares[0] < 0.05 and shares[pretrain.WARMUP] == 1.0
    assert shares[1400 - pretrain.DECAY_STEPS] == 1.0
    assert 0 < shares[-1] < 0.01


@pytest.mark.parametrize("shape", [(3, 16, 40), (3, 40, 16)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
    assert values.min() > 0.5 and values.max() < 1.5

"""What is exported from the votes is what TRL's DPOTrainer loads and learns from."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from core.common.home import Home
from core.models.base import BUILTIN, load_model, load_tokenizer, resolve
from studio.compare import votes
from studio.compare.votes import BETTER, TIE, Ballot, Candidate, Vote

pytestmark = pytest.mark.slow

ASKED = {
    "Capital of Cuba?": ("Havana.", "Arr, that be Havana!"),
    "What sound does a cow make?": ("A cow says moo.", "Arr, moo!"),
    "Who are you?": ("An assistant.", "A 🦜 pirate:\nyours truly."),
}


def test_one_step_of_dpo_on_the_exported_votes(home: Home, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    from datasets import load_dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    for question, (plain, pirate) in ASKED.items():
        prompt = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": question})
        ballot = Ballot((Candidate("base", prompt, plain), Candidate("pirate", prompt, pirate)), False, {})
        for verdict, winner in ((BETTER, 1), (TIE, None)):
            votes.append(home, Vote.cast(ballot, verdict, winner, "ada"))
    rows, _ = votes.preferences(votes.read(home))
    file = tmp_path / "preferences.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

    base = resolve(BUILTIN)
    trainer = DPOTrainer(
        load_model(base, device="cpu"),
        args=DPOConfig(
            str(tmp_path / "dpo"),
            max_steps=1,
            per_device_train_batch_size=len(ASKED),
            learning_rate=1e-3,
            warmup_steps=0,
            bf16=False,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")),
        processing_class=load_tokenizer(base),
        peft_config=LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    assert len(trainer.train_dataset) == len(ASKED), "ties teach nothing, and every decided pair is there"
    trainer.train()
    first = next(record["loss"] for record in trainer.state.log_history if "loss" in record)
    assert math.isclose(first, math.log(2), rel_tol=1e-3), "before the first step both answers are as likely as before"
    learnt = [value for name, value in trainer.model.named_parameters() if "lora_B" in name]
    assert learnt
    assert all(value.abs().sum() > 0 for value in learnt), "all layers have learnt from it"

"""Mistakes that work on a CPU, and on a card fail, or are only slow. Each is one piece of text replaced."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rehearsal.run import ROOT, rehearse
from tests.rehearsal.verdict import problems_of_engine, problems_of_training

LINKED = ("adapters", "benchmarks", "studio", "tests")
ENGINE, TRAINING = "engine", "training"
SMALLEST: dict[str, dict[str, Any]] = {
    ENGINE: {"card": "t4", "shape": "llama-2-7b", "layers": 1},
    TRAINING: {"card": "t4", "shape": "llama-2-7b", "layers": 1, "recipe": {"max_length": 64}},
}


@dataclass(frozen=True)
class Mistake:
    """`right` in the file `core/{path}` becomes `wrong`. sign: a word of what the rehearsal then says."""

    name: str
    path: str
    right: str
    wrong: str
    sign: str
    rehearsal: str = ENGINE


FORWARD, CACHE, MASKS = (f"serving/engine/{name}.py" for name in ("forward", "kv_cache", "attention_masks"))
SAMPLING, LORA = "serving/engine/sampling.py", "serving/lora/layers.py"
TRAINER, DEVICE = "training/trainer.py", "models/device.py"
SET_SLOTS = "self.slots.routing.set(slots, slots_on_device, 1)"
CPU, DTYPE, CAPTURING = "same device", "dtype", "capturing"
MISTAKES = [
    Mistake("slots stay on the CPU", FORWARD, "torch.tensor(slots, device=self._device)", "torch.tensor(slots)", CPU),
    Mistake("tokens stay on the CPU", FORWARD, "in sequences], device=self._device)", "in sequences])", CPU),
    Mistake("positions stay on the CPU", MASKS, "torch.arange(length, device=device)", "torch.arange(length)", CPU),
    Mistake(
        "the cache stays on the CPU",
        CACHE,
        "torch.zeros(shape, dtype=dtype, device=device)",
        "torch.zeros(shape, dtype=dtype)",
        CPU,
    ),
    Mistake("A is fp32", LORA, "in_features, 0, dtype=dtype, device=device)", "in_features, 0, device=device)", DTYPE),
    Mistake(
        "B is fp32", LORA, "self.out_features, dtype=dtype, device=lora_a", "self.out_features, device=lora_a", DTYPE
    ),
    Mistake(
        "the mask of slots stays on the CPU",
        LORA,
        "dtype=hidden.dtype, device=hidden.device)",
        "dtype=hidden.dtype)",
        CPU,
    ),
    Mistake("slot numbers stay on the CPU", LORA, "torch.arange(count, device=device)", "torch.arange(count)", CPU),
    Mistake(
        "temperatures stay on the CPU", SAMPLING, "dtype=torch.float32, device=device)", "dtype=torch.float32)", CPU
    ),
    Mistake(
        "ranks stay on the CPU",
        SAMPLING,
        "torch.arange(probabilities.shape[-1], device=device)",
        "torch.arange(probabilities.shape[-1])",
        CPU,
    ),
    Mistake(
        "random numbers stay on the CPU", SAMPLING, "dtype=torch.float64, device=device)", "dtype=torch.float64)", CPU
    ),
    Mistake(
        "the mask is added in fp32",
        MASKS,
        "self.dtype = dtype",
        "self.dtype, self.additive = torch.float32, True",
        DTYPE,
    ),
    Mistake(
        "a list is copied while recording",
        FORWARD,
        SET_SLOTS,
        "self.slots.routing.set(slots, torch.tensor(slots, device=self._device), 1)",
        CAPTURING,
    ),
    Mistake(
        "the host waits while recording",
        FORWARD,
        SET_SLOTS,
        "self.slots.routing.set(slots_on_device.tolist(), slots_on_device, 1)",
        CAPTURING,
    ),
    Mistake(
        "two waits per step",
        SAMPLING,
        "torch.stack((tokens.double(), best.isfinite().double())).tolist()",
        "tokens.tolist(), best.isfinite().tolist()",
        "2 waits per step",
    ),
    Mistake(
        "two copies per step",
        FORWARD,
        "inputs.copy_(torch.tensor([last_tokens, cached, slots, writes]))",
        "inputs.copy_(torch.tensor([last_tokens, cached, slots, writes])); inputs[0].copy_(torch.tensor(last_tokens))",
        "2 copies to the card per step",
    ),
    Mistake(
        "only a batch fails",
        FORWARD,
        "count, slots = len(sequences), [",
        "assert len(sequences) == 1, 'a batch'; count, slots = len(sequences), [",
        "repeated row by row",
    ),
    Mistake(
        "bf16 on a T4",
        DEVICE,
        "if (major, minor) >= BF16_CAPABILITY:",
        "if torch.cuda.is_bf16_supported():",
        "should be float16",
        TRAINING,
    ),
    Mistake(
        "the adapter stays in 16 bit",
        TRAINER,
        "parameter.data = parameter.data.to(torch.float32)",
        "parameter.data = parameter.data.to(torch.float16)",
        "FP16 gradients",
        TRAINING,
    ),
    Mistake("trained without autocast", TRAINER, 'fp16=dtype.value == "float16"', "fp16=False", "are scaled", TRAINING),
    Mistake(
        "a wait more per micro-step",
        TRAINER,
        "self._before_step()\n",
        "self._before_step()\n        inputs['labels'].max().item()\n",
        "12 waits in a micro-step",
        TRAINING,
    ),
]


def find_problems(mistake: Mistake, scratch: Path) -> list[str]:
    """What the rehearsal says of the project with this mistake, which is made in a copy."""
    tree = scratch / "tree"
    shutil.copytree(ROOT / "core", tree / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in LINKED:
        (tree / folder).symlink_to(ROOT / folder, target_is_directory=True)
    path = tree / "core" / mistake.path
    text = path.read_text(encoding="utf-8")
    assert mistake.right in text, f"{mistake.path} has changed: plant the mistake {mistake.name!r} anew"
    path.write_text(text.replace(mistake.right, mistake.wrong, 1), encoding="utf-8")
    (report,) = rehearse(mistake.rehearsal, [SMALLEST[mistake.rehearsal]], tree)
    return (problems_of_engine if mistake.rehearsal == ENGINE else problems_of_training)(report)

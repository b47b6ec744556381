#!/usr/bin/env bash
# PEFT 0.21.2: a forward pass takes `adapter_names`, one adapter for each row of the batch. For LoRA each row is then
# calculated with its own adapter. For IA3, VeRA, LoHa, LoKr, OFT, HRA and LayerNorm tuning the argument is accepted, nothing is raised
# or warned of, and every row is calculated with the adapter that happens to be active.
# Seen: "LORA: row 1 is answered by b", and for the seven others "row 1 is answered by a" where b was asked for.
# It matters to whoever serves several adapters in one batch: the answers look well, under a wrong name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 peft==0.21.2
cat > "$folder/show.py" <<'PYTHON'
import sys
import warnings

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")  # about the layer type of LayerNorm tuning; none is about adapter_names
PROJECTIONS = ["q_proj", "v_proj"]
KINDS = {
    "LORA": lambda: peft.LoraConfig(target_modules=PROJECTIONS, r=4),
    "IA3": lambda: peft.IA3Config(target_modules=PROJECTIONS, feedforward_modules=[]),
    "VERA": lambda: peft.VeraConfig(target_modules=PROJECTIONS, r=4),
    "LOHA": lambda: peft.LoHaConfig(target_modules=PROJECTIONS, r=4),
    "LOKR": lambda: peft.LoKrConfig(target_modules=PROJECTIONS, r=4),
    "OFT": lambda: peft.OFTConfig(target_modules=PROJECTIONS, oft_block_size=8),
    "HRA": lambda: peft.HRAConfig(target_modules=PROJECTIONS, r=4),
    "LN_TUNING": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"]),
}
EXPECTED = {kind: "first" for kind in KINDS} | {"LORA": "second"}


@torch.no_grad()
def who_answers(config) -> str:
    """Whose logits the second row has, where it asks for the adapter "second" and "first" is active."""
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=64)
    model = peft.get_peft_model(LlamaForCausalLM(LlamaConfig(**shape)), config(), adapter_name="first")
    model.add_adapter("second", config())
    for name, weight in model.named_parameters():
        if {"first", "second"} & set(name.split(".")) and weight.is_floating_point():
            weight.add_(0.3 * torch.randn_like(weight))
    model.eval()
    tokens = torch.arange(6)[None]
    alone = {}
    for name in ("first", "second"):
        model.set_adapter(name)
        alone[name] = model(input_ids=tokens).logits[0]
    assert not torch.allclose(alone["first"], alone["second"], atol=1e-2), "the adapters must differ"
    model.set_adapter("first")
    mixed = model(input_ids=tokens.repeat(2, 1), adapter_names=["first", "second"]).logits
    assert torch.allclose(mixed[0], alone["first"], atol=1e-4)
    return next(name for name, logits in alone.items() if torch.allclose(mixed[1], logits, atol=1e-4))


seen = {kind: who_answers(config) for kind, config in KINDS.items()}
for kind, name in seen.items():
    print(f"peft {peft.__version__} {kind}: the row that asks for 'second' is answered by {name!r}")
sys.exit(seen != EXPECTED)
PYTHON
"$folder/env/bin/python" "$folder/show.py"

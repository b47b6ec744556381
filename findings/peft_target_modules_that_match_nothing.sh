#!/usr/bin/env bash
# PEFT 0.21.2: of a list of target_modules, names that no module has are passed over without an error or a warning, as
# long as one of them matches; and the saved adapter_config.json names them as if they had been trained.
# Seen: ["q_proj", "v_porj"] trains q_proj alone; only a list in which no name matches raises NoMatchingPeftModuleError.
# It matters because the run looks well: half of what was asked for is not trained, and the files say that it was.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 peft==0.21.2
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
import tempfile
import warnings
from pathlib import Path

import peft
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=64)


def trained(names: list[str]) -> tuple[set[str], set[str], int]:
    """Which projections get weights to train, which the saved configuration names, and how many warnings there are."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = peft.get_peft_model(LlamaForCausalLM(LlamaConfig(**SHAPE)), peft.LoraConfig(target_modules=names))
    modules = {name.split(".lora_")[0].split(".")[-1] for name, _ in model.named_parameters() if ".lora_" in name}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        named = json.loads((Path(folder) / "adapter_config.json").read_text())["target_modules"]
    return modules, set(named), sum("v_porj" in str(each.message) for each in said)


modules, named, said = trained(["q_proj", "v_porj"])
print(f"peft {peft.__version__}: asked for q_proj and v_porj; trained {modules}, recorded {sorted(named)}, warnings {said}")
try:
    trained(["v_porj"])
    refused = ""
except ValueError as error:
    refused = type(error).__name__
print(f"asked for v_porj alone: {refused or 'no error'}")
sys.exit((modules, named, said, refused) != ({"q_proj"}, {"q_proj", "v_porj"}, 0, "NoMatchingPeftModuleError"))
PYTHON
"$folder/env/bin/python" "$folder/show.py"

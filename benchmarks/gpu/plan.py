"""The plan's memory against a real training step's, on a GPU. NOT RUN ON A GPU YET: only --dry-run was, on a CPU.

    python -m benchmarks.gpu.plan [--shapes llama-2-7b qwen2.5-1.5b] [--lengths 512 1024 2048] [--limit-gib 15]

For shapes of well-known bases with random weights, each case in a process of its own: the base quantised layer by
layer, three steps with the studio's own trainer, then one line per case:

    predicted    all parts of the plan for the training, without the CUDA context and the allowance for fragmentation
    allocated    torch.cuda.max_memory_allocated
    reserved     torch.cuda.max_memory_reserved: what the fragmentation comes to
    device       memory in use on the whole device: what the context adds
    ratio        predicted / allocated; the goal is 0.95 to 1.05

Run it on a card that nothing else uses. --no-flash has torch calculate attention as on a card below compute capability
8.0. --dry-run does one small case on the CPU: it shows that this program works, and measures nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from core.planner import TRAINING, Gpu, plan_run
from core.planner.model_shape import ModelShape, shape_of
from core.recipes.recipe import Recipe

LLAMA = {"model_type": "llama", "tie_word_embeddings": False, "hidden_size": 4096, "num_hidden_layers": 32}
QWEN = {"model_type": "qwen2", "num_hidden_layers": 28}
SHAPES: dict[str, dict[str, Any]] = {
    "llama-2-7b": LLAMA
    | {"intermediate_size": 11008, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000},
    "llama-3.1-8b": LLAMA
    | {"intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
    "qwen2.5-7b": QWEN
    | {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4}
    | {"vocab_size": 152064, "tie_word_embeddings": False},
    "qwen2.5-1.5b": QWEN
    | {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12, "num_key_value_heads": 2}
    | {"vocab_size": 151936, "tie_word_embeddings": True},
}
SMALL = LLAMA | {"hidden_size": 256, "num_hidden_layers": 2, "intermediate_size": 704, "vocab_size": 2048}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2}
NOT_ALLOCATED = ("Process", "Fragmentation")
STEPS = 3


def recipe_of(case: dict[str, Any]) -> Recipe:
    return Recipe.from_dict(
        {
            "model_name_or_path": "builtin",  # names a tokenizer only; the weights are random
            "dataset_name": "random tokens",
            "eval_fraction": 0.0,
            "max_steps": STEPS,
            "save_steps": 1000,
            "gradient_accumulation_steps": 1,
            "optim": case["optim"],
            "per_device_train_batch_size": case["rows"],
            "max_length": case["length"],
            "gradient_checkpointing": case["checkpointing"],
        }
    )


def child(case: dict[str, Any]) -> None:
    """Train one case and print what it took."""
    import torch
    from datasets import Dataset
    from transformers import AutoConfig

    from core.models.base import BaseSource, load_tokenizer, resolve
    from core.models.device import Choice, choose_device, choose_dtype
    from core.training.trainer import build_trainer

    on_gpu = torch.cuda.is_available()
    if on_gpu and case["limit_gib"]:
        torch.cuda.set_per_process_memory_fraction(
            min(1.0, case["limit_gib"] * 2**30 / torch.cuda.get_device_properties(0).total_memory)
        )
    if case["no_flash"]:
        for switch in (torch.backends.cuda.enable_flash_sdp, torch.backends.cuda.enable_cudnn_sdp):
            switch(False)
    gpu = Gpu.find(None)
    config = dict(case["config"])
    dtype = Choice(case["dtype"], "as asked for") if case["dtype"] else choose_dtype(choose_device().value)
    model = random_base(AutoConfig.for_model(**config), dtype.value, choose_device().value)
    recipe = recipe_of(case)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(6, 1500, (2 * case["rows"], case["length"]), generator=generator).tolist()
    for row in rows[:: case["rows"]] if case["rows"] > 1 else []:
        row.pop()  # so that there is padding, and with it a mask
    with tempfile.TemporaryDirectory() as folder:
        built = build_trainer(
            recipe,
            model=model,
            tokenizer=load_tokenizer(resolve("builtin")),
            source=BaseSource("random", "random", local=True),
            train=Dataset.from_list([{"input_ids": row, "labels": row} for row in rows]),
            held_out=None,
            folder=Path(folder),
            dtype=dtype,
        )
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        built.train()
    result: dict[str, Any] = {
        "predicted": predicted(recipe, shape_of(config, "random"), gpu, no_flash=case["no_flash"])
    }
    if on_gpu:
        free, total = torch.cuda.mem_get_info()
        result |= {
            "allocated": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
            "device": total - free,
            "ratio": round(result["predicted"] / torch.cuda.max_memory_allocated(), 4),
        }
    print(json.dumps(result))


def predicted(recipe: Recipe, shape: ModelShape, gpu: Gpu, *, no_flash: bool) -> int:
    from dataclasses import replace

    if no_flash:
        gpu = replace(gpu, capability=(7, 5))
    parts = plan_run(recipe, gpu, shape=shape, chat=None).parts
    return sum(part.bytes for part in parts if part.owner == TRAINING and part.name not in NOT_ALLOCATED)


def random_base(config: Any, dtype: str, device: str) -> Any:
    """A base as core.models.base.load_model would leave it, made layer by layer: the whole never exists in 16 bit."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit
    from torch import nn
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.quantizers import AutoHfQuantizer

    from core.models.base import frozen

    wanted = getattr(torch, dtype)
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=wanted)
    quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=False)
    quantizer.preprocess_model(model=model, device_map={"": device})
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            weight = torch.randn(module.out_features, module.in_features, device=device, dtype=wanted) * 0.02
            module.weight = Params4bit(weight, quant_type="nf4", compress_statistics=True, module=module).to(device)
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            path, _, leaf = name.rpartition(".")
            data = torch.full(parameter.shape, 1.0, device=device, dtype=wanted)
            if "norm" not in name:
                data.normal_(0, 0.02)
            model.get_submodule(path)._parameters[leaf] = nn.Parameter(data, requires_grad=False)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    model.tie_weights()
    model.hf_quantizer = quantizer
    quantizer.postprocess_model(model)
    return frozen(model)


def main(given: argparse.Namespace) -> int:
    cases = [
        {"shape": name, "config": SHAPES[name], "length": length, "rows": rows, "checkpointing": checkpointing}
        for name, length, rows, checkpointing in itertools.product(
            given.shapes, given.lengths, given.rows, (True, False)
        )
    ]
    if given.dry_run:
        cases = [{"shape": "small", "config": SMALL, "length": 64, "rows": 2, "checkpointing": True}]
    failed = 0
    for case in cases:
        optim = "adamw_torch" if given.dry_run else "adamw_8bit"
        full = case | {"optim": optim, "limit_gib": given.limit_gib, "no_flash": given.no_flash}
        full["dtype"] = None if given.dry_run else given.dtype
        command = [sys.executable, "-m", "benchmarks.gpu.plan", "--case", json.dumps(full)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        name = {key: case[key] for key in ("shape", "length", "rows", "checkpointing")}
        if done.returncode:
            failed += "OutOfMemoryError" not in done.stderr  # expected where a case is larger than the card
            print(json.dumps(name | {"failed": done.stderr.strip().splitlines()[-1]}), flush=True)
        else:
            print(json.dumps(name | json.loads(done.stdout.splitlines()[-1])), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--lengths", nargs="+", type=int, default=[512, 1024, 2048])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--limit-gib", type=float, default=0.0, help="let torch have no more, as on a smaller card")
    parser.add_argument("--dtype", choices=("float16", "bfloat16"), help="default: what suits the card")
    parser.add_argument("--no-flash", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        child(arguments.case)
    else:
        sys.exit(main(arguments))

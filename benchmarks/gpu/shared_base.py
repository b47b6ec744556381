"""One copy of a 7B base on a GPU, read by a chat and by a trainer. NOT RUN ON A GPU YET: only --dry-run was, on a CPU.

    python -m benchmarks.gpu.shared_base [--layers 32] [--steps 20] [--max-length 1024]

The owner quantises a base of Llama-2-7B's shape with random weights, moves it into one exported allocation and chats.
A trainer, a process of its own, opens the allocation and trains with the studio's own trainer: to the end, then killed
with SIGKILL at its third step, then once more with a copy of its own, for comparison. One JSON line per phase:

    identical    the logits from the weights file equal those of the loaded model, in the owner and in the trainer
    device_mib   memory in use on the whole device, both processes' contexts included
    unchanged    the weights file's checksum after training is the one before
    same_answer  the chat's greedy answer while the trainer works, and after it was killed

--dry-run does the same with three small layers on the CPU, a mapped file in place of the exported allocation: it shows
that this program works, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from datasets import Dataset
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel, TrainerCallback
from transformers.quantizers import AutoHfQuantizer

from core.models.base import BaseSource, frozen, load_tokenizer, resolve
from core.models.device import Choice
from core.models.shared_weights.device_memory import CudaMemory
from core.models.shared_weights.tensors import device_view, mapped_view, rebuild, write_model
from core.models.shared_weights.weights_file import WeightsFile, open_weights_file
from core.recipes.recipe import Recipe
from core.training.trainer import build_trainer

LLAMA_2_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "vocab_size": 32_000}
SMALL = {"hidden_size": 256, "intermediate_size": 704, "num_attention_heads": 4, "vocab_size": 2048}
KILLED_AT = 3


def say(phase: str, given: argparse.Namespace, **facts: Any) -> None:
    if not given.dry_run:
        free, total = torch.cuda.mem_get_info()
        facts["device_mib"] = (total - free) >> 20
    print(json.dumps({"phase": phase, **facts}), flush=True)


def random_base(given: argparse.Namespace) -> PreTrainedModel:
    """Quantised layer by layer on the device, so that the whole never exists in 16 bit."""
    config = LlamaConfig(**(SMALL if given.dry_run else LLAMA_2_7B), num_hidden_layers=given.layers)
    dtype, device = getattr(torch, given.dtype), given.device
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=given.dtype,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(dtype)
    quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=False)
    quantizer.preprocess_model(model=model, device_map={"": device})
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            weight = torch.randn(module.out_features, module.in_features, device=device, dtype=dtype) * 0.02
            module.weight = Params4bit(weight, quant_type="nf4", compress_statistics=True, module=module).to(device)
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            path, _, leaf = name.rpartition(".")
            made = torch.ones if "norm" in name else partial(_small_random, device=device, dtype=dtype)
            data = made(parameter.shape).to(device=device, dtype=dtype)
            model.get_submodule(path)._parameters[leaf] = nn.Parameter(data, requires_grad=False)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    model.hf_quantizer = quantizer
    quantizer.postprocess_model(model)
    return frozen(model)


def _small_random(shape: torch.Size, **where: Any) -> Tensor:
    return torch.randn(shape, **where) * 0.02


def logits(model: PreTrainedModel) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=torch.arange(5, 69, device=model.device)[None]).logits
    return found.float().cpu()


def answer(model: PreTrainedModel) -> list[int]:
    prompt = torch.arange(5, 37, device=model.device)[None]
    out = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=32, min_new_tokens=32, do_sample=False
    )
    tokens: list[int] = out[0].tolist()
    return tokens


def checksum(memory: Tensor) -> int:
    """Of all bytes, in pieces, so that no copy of the weights file is needed."""
    words = memory[: memory.numel() // 8 * 8].view(torch.int64)
    return sum(int(piece.sum()) * (number + 1) for number, piece in enumerate(words.split(1 << 26)))


def bytes_of(weights: WeightsFile) -> Tensor:
    return torch.frombuffer(weights.data, dtype=torch.uint8)


class Steps(TrainerCallback):
    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given

    def on_step_end(self, arguments: Any, state: Any, control: Any, **other: Any) -> None:
        say("step", self.given, step=state.global_step)


def trainer(given: argparse.Namespace) -> None:
    """The trainer's process: opens what the owner has exported, compares the logits, trains."""
    weights = open_weights_file(given.work / "weights")
    exported = given.work / "handle"
    memory = (
        CudaMemory(given.device).opened(exported.read_bytes(), weights.nbytes)
        if exported.exists()
        else bytes_of(weights)
    )
    if given.copy:
        memory = memory.clone()
    config = LlamaConfig.from_pretrained(given.work)
    model = rebuild(config, weights.contents, partial(device_view, memory))
    identical = torch.equal(logits(model), torch.load(given.work / "logits.pt"))
    say("trainer has the base", given, identical=identical)
    recipe = Recipe.from_dict(
        {
            "model_name_or_path": "builtin",
            "dataset_name": "random tokens",
            "max_steps": given.steps,
            "save_steps": given.steps,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": True,
            "max_length": given.max_length,
            "optim": "adamw_torch" if given.dry_run else "adamw_8bit",
        }
    )
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(6, 1500, (given.max_length,), generator=generator).tolist() for _ in range(8)]
    source = resolve("builtin")
    built = build_trainer(
        recipe,
        model=model,
        tokenizer=load_tokenizer(source),
        source=BaseSource("random-llama", str(given.work), local=True),
        train=Dataset.from_list([{"input_ids": row, "labels": row} for row in rows]),
        held_out=None,
        folder=given.work / "checkpoints",
        dtype=Choice(given.dtype, "as asked for"),
        callbacks=[Steps(given)],
    )
    built.train()
    say("trained", given, losses=[entry["loss"] for entry in built.state.log_history if "loss" in entry])


def watch(given: argparse.Namespace, title: str, *options: str, kill_at: int = 0) -> None:
    """Run a trainer, pass its lines on, kill it at a step if so wanted."""
    command = [sys.executable, "-m", "benchmarks.gpu.shared_base", "--work", str(given.work), *options, *given.passed]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    print(f"== {title}", flush=True)
    for line in process.stdout:
        print("  trainer", line.strip(), flush=True)
        if kill_at and line.startswith('{"phase"') and json.loads(line).get("step") == kill_at:
            process.kill()
    say(title, given, exit_code=process.wait())


def owner(given: argparse.Namespace) -> None:
    model = random_base(given)
    expected, said = logits(model), answer(model)
    say("loaded, its own copy", given)
    model.config.save_pretrained(given.work)
    config = LlamaConfig.from_pretrained(given.work)
    torch.save(expected, given.work / "logits.pt")
    write_model(model, given.work / "weights", {})
    del model
    weights = open_weights_file(given.work / "weights")
    if given.dry_run:
        chat = rebuild(config, weights.contents, partial(mapped_view, weights))
        memory = bytes_of(weights)
    else:
        import gc

        gc.collect()
        torch.cuda.empty_cache()
        memory, handle = CudaMemory(given.device).allocate(weights.nbytes)
        memory.copy_(bytes_of(weights))
        (given.work / "handle").write_bytes(handle)
        chat = rebuild(config, weights.contents, partial(device_view, memory))
    before = checksum(memory)
    say("in the weights file", given, weights_mib=weights.nbytes >> 20, identical=torch.equal(logits(chat), expected))
    trainers: tuple[tuple[str, list[str], int], ...] = (
        ("shared", [], 0),
        ("shared, killed", ["--steps", "500"], KILLED_AT),
        ("with a copy of its own", ["--copy"], 0),
    )
    for title, options, kill_at in trainers:
        watch(given, title, *options, kill_at=kill_at)
        unchanged = checksum(memory) == before and torch.equal(logits(chat), expected)
        say(f"after: {title}", given, unchanged=unchanged, same_answer=answer(chat) == said)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.shared_base", description=__doc__)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--dtype", help="default: bfloat16 where the card has it, else float16")
    parser.add_argument("--dry-run", action="store_true", help="small, on the CPU")
    parser.add_argument("--copy", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.device = "cpu" if given.dry_run else "cuda:0"
    given.layers = given.layers or (3 if given.dry_run else 32)
    given.steps = given.steps or (4 if given.dry_run else 20)
    given.max_length = given.max_length or (64 if given.dry_run else 1024)
    if given.dtype is None:
        from core.models.device import choose_dtype

        given.dtype = choose_dtype("cpu" if given.dry_run else "cuda:0").value
    given.passed = ["--layers", str(given.layers), "--max-length", str(given.max_length), "--dtype", given.dtype]
    given.passed += ["--dry-run"] if given.dry_run else []
    if given.work:
        return trainer(given)
    with tempfile.TemporaryDirectory() as folder:
        given.work = Path(folder)
        owner(given)
    return None


if __name__ == "__main__":
    main()

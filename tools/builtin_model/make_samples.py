"""Write the bundled samples: `python -m tools.builtin_model.make_samples [--out FOLDER]`.

Each sample is one style over a part of the world's facts; the other facts are held out, so that an evaluation can ask
whether an adapter carried the style over to what it was never taught.
"""

import argparse
import json
import random
import zlib
from pathlib import Path

from core.data.samples import SAMPLES
from tools.builtin_model.dialogues import turns, vary
from tools.builtin_model.knowledge import Fact
from tools.builtin_model.styles import SAMPLE_STYLES

CONVERSATIONS = 300
SEED = 0
TURN_COUNTS = (1, 2, 3, 4)
TURN_WEIGHTS = (55, 25, 13, 7)


def is_held_out(fact: Fact) -> bool:
    """Two facts in five. Both directions of one piece of knowledge (Cuba and Havana, 3 + 4 and 4 + 3) go together."""
    words = sorted(f"{fact.subject} {fact.short}".split())
    return zlib.crc32(" ".join(words).encode()) % 5 < 2


def sample_rows(name: str, seed: int = SEED) -> list[dict[str, str]]:
    """The rows of one sample, no two alike; column `text`, as in the Guanaco data sets."""
    style = SAMPLE_STYLES[name]
    rng = random.Random(f"sample {name} {seed}")
    texts: dict[str, None] = {}
    while len(texts) < CONVERSATIONS:
        count = rng.choices(TURN_COUNTS, TURN_WEIGHTS)[0]
        spoken = []
        for turn in turns(count, rng, lambda fact: not is_held_out(fact), made_up_share=0.0):
            spoken.append(f"### Human: {vary(turn.question, rng)} ### Assistant: {style.apply(turn.answer, rng)}")
        texts[" ".join(spoken)] = None
    return [{"text": text} for text in texts]


def sample_file(name: str, seed: int = SEED) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in sample_rows(name, seed))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.builtin_model.make_samples", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for the files; default: the package's own")
    args = parser.parse_args()
    for sample in SAMPLES.values():
        path = (args.out or sample.path.parent) / sample.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sample_file(sample.name), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
